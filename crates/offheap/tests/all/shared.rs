//! Shared stores: atomics and copies on any thread, a length that only rises, any number of isolates.

use std::ptr::NonNull;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use offheap::adapter::{self, Hold, IsolateRegistration};
use offheap::{BackingStore, Error, NotUnique, Owner, SharedStore, StoreKind, UniqueStore};

#[test]
fn it_is_zero_and_of_the_length_that_was_asked_for() {
    for byte_length in [0, 1, 15, 16, 4095, 4096, 4097, 1 << 20] {
        for store in [SharedStore::zeroed(byte_length), SharedStore::growable(byte_length, byte_length)] {
            let store = store.unwrap();
            assert_eq!((store.byte_length(), store.max_byte_length()), (byte_length, byte_length));
            assert_eq!(store.as_atomics().len(), byte_length);
            assert!(store.to_vec().unwrap().iter().all(|&byte| byte == 0));
            assert!(!store.as_ptr().is_null() && store.as_ptr().addr().is_multiple_of(16));
        }
    }
}

#[test]
fn sizes_that_are_no_allocation_are_errors() {
    for byte_length in [isize::MAX as usize + 1, usize::MAX] {
        assert!(matches!(SharedStore::zeroed(byte_length), Err(Error::TooLarge { .. })));
        assert!(matches!(SharedStore::growable(0, byte_length), Err(Error::TooLarge { .. })));
    }
    assert!(matches!(SharedStore::growable(0, isize::MAX as usize), Err(Error::OutOfMemory { .. })));
    assert!(matches!(SharedStore::growable(2, 1), Err(Error::MaximumTooSmall { .. })));
}

#[test]
fn one_thread_loads_the_value_that_another_stored() {
    let store = SharedStore::zeroed(8).unwrap();
    let other = store.clone();
    thread::spawn(move || {
        other.as_atomics()[3].store(7, Ordering::SeqCst);
        other.copy_from_slice(4, &[1, 2, 3, 4]).unwrap();
    })
    .join()
    .unwrap();
    assert_eq!(store.to_vec().unwrap(), [0, 0, 0, 7, 1, 2, 3, 4]);
    let mut two = [0; 2];
    store.copy_to_slice(3, &mut two).unwrap();
    assert_eq!(two, [7, 1]);
}

#[test]
fn a_range_outside_of_it_is_an_error_in_both_directions() {
    let store = SharedStore::growable(8, 100).unwrap();
    for offset in [1, 8, usize::MAX] {
        assert!(matches!(store.copy_to_slice(offset, &mut [0; 8]), Err(Error::OutOfRange { .. })));
        assert!(matches!(store.copy_from_slice(offset, &[0; 8]), Err(Error::OutOfRange { .. })));
    }
    store.grow(16).unwrap();
    store.copy_from_slice(8, &[1; 8]).unwrap();
}

#[test]
fn larger_elements_need_their_alignment_and_a_whole_number_of_them() {
    let store = SharedStore::zeroed(12).unwrap();
    // SAFETY: one thread.
    let numbers = unsafe { store.as_atomics_of::<AtomicU32>() }.unwrap();
    numbers[1].store(0x0102_0304, Ordering::SeqCst);
    assert_eq!(store.copy_out::<u32>().unwrap(), [0, 0x0102_0304, 0]);
    let part = store.slice(4..8).unwrap();
    // SAFETY: one thread.
    assert_eq!(unsafe { part.as_atomics_of::<AtomicI32>() }.unwrap()[0].load(Ordering::SeqCst), 0x0102_0304);
    // SAFETY: as above.
    let partial = unsafe { store.as_atomics_of::<AtomicU64>() };
    assert!(matches!(partial, Err(Error::PartialElement { byte_length: 12, element_size: 8, .. })));
    let part = store.slice(4..12).unwrap();
    // SAFETY: as above.
    let error = unsafe { part.as_atomics_of::<AtomicU64>() }.unwrap_err();
    assert!(matches!(error, Error::Misaligned { byte_offset: 4, alignment: 8, .. }), "{error}");
    assert!(error.to_string().contains("from byte 4 on"), "{error}");
}

#[test]
fn eight_threads_add_to_one_number() {
    let store = SharedStore::zeroed(4).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                for _ in 0..10_000 {
                    // SAFETY: all threads use it in the same size.
                    let numbers = unsafe { store.as_atomics_of::<AtomicU32>() }.unwrap();
                    numbers[0].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(store.copy_out::<u32>().unwrap(), [80_000]);
}

#[test]
fn growth_keeps_address_and_bytes_and_adds_zeros() {
    let store = SharedStore::growable(3, 1 << 20).unwrap();
    let address = store.as_ptr();
    store.copy_from_slice(0, &[1, 2, 3]).unwrap();
    let before = store.as_atomics();
    for byte_length in [3, 4, 4096, 4097, 1 << 20] {
        store.grow(byte_length).unwrap();
        assert_eq!((store.byte_length(), store.as_ptr()), (byte_length, address));
    }
    before[0].store(9, Ordering::Relaxed);
    assert_eq!(before.len(), 3);
    let bytes = store.to_vec().unwrap();
    assert_eq!(bytes[..3], [9, 2, 3]);
    assert!(bytes[3..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_smaller_length_and_one_above_the_maximum_are_errors() {
    let store = SharedStore::growable(8, 16).unwrap();
    let error = store.grow(7).unwrap_err();
    assert!(matches!(error, Error::SharedShrink { requested: 7, byte_length: 8, .. }), "{error}");
    assert!(matches!(store.grow(17), Err(Error::AboveMaximum { max_byte_length: 16, .. })));
    assert!(matches!(adapter::grow_to_at_least(&store, 17), Err(Error::AboveMaximum { .. })));
    adapter::grow_to_at_least(&store, 3).unwrap();
    assert_eq!(store.byte_length(), 8);
    assert!(matches!(SharedStore::zeroed(8).unwrap().grow(8), Err(Error::NotResizable { .. })));
    assert!(matches!(BackingStore::from(store).resize(4), Err(Error::NotResizable { .. })));
}

#[test]
fn when_many_threads_grow_at_once_the_length_only_rises() {
    const MAX: usize = 1 << 22;
    let store = SharedStore::growable(0, MAX).unwrap();
    let begin = Barrier::new(5);
    let done = AtomicBool::new(false);
    let granted: Vec<usize> = thread::scope(|scope| {
        let growers: Vec<_> = (1..=4usize)
            .map(|seed| {
                let (store, begin) = (store.clone(), &begin);
                scope.spawn(move || {
                    begin.wait();
                    let mut granted = Vec::new();
                    for step in 1..=1000 {
                        let requested = step * 4096 + seed;
                        match store.grow(requested) {
                            Ok(()) => granted.push(requested),
                            Err(Error::SharedShrink { byte_length, .. }) => assert!(byte_length > requested),
                            Err(error) => panic!("{error}"),
                        }
                        assert!(store.byte_length() >= requested);
                        store.as_atomics()[requested - 1].store(1, Ordering::Relaxed);
                    }
                    granted
                })
            })
            .collect();
        let watcher = scope.spawn(|| {
            begin.wait();
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                let byte_length = store.byte_length();
                assert!(byte_length >= last, "it never shrinks");
                last = byte_length;
                // Every byte below the length can be read.
                store.as_atomics().iter().step_by(4096).for_each(|byte| assert!(byte.load(Ordering::Relaxed) <= 1));
            }
        });
        let granted = growers.into_iter().flat_map(|grower| grower.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
        granted
    });
    let longest = granted.iter().copied().max().unwrap();
    assert_eq!(store.byte_length(), longest);
    let unique: std::collections::HashSet<_> = granted.iter().collect();
    assert_eq!(unique.len(), granted.len(), "no length was granted twice");
}

#[test]
fn it_is_exposed_in_any_number_of_isolates_and_counts_in_none() {
    let (first, second) = (IsolateRegistration::new("Test").unwrap(), IsolateRegistration::new("Test").unwrap());
    let shared = SharedStore::growable(8, 16).unwrap();
    let store = BackingStore::from(shared.clone());
    let holds = [first.id(), first.id(), second.id()].map(|isolate| Hold::new(&store, isolate).unwrap());
    assert_eq!((store.exposure(), first.id().external_bytes(), second.id().external_bytes()), (None, 0, 0));
    holds[0].resize(12).unwrap();
    assert_eq!((shared.byte_length(), holds[2].byte_length()), (12, 12));
    assert!(matches!(holds[1].resize(8), Err(Error::SharedShrink { .. })));
    // A buffer that does not know of the growth is over the same store.
    assert_eq!(holds[1].store(holds[1].data().as_ptr(), 8), store);
    assert_eq!(shared.reference_count(), 5);
    drop(holds);
    assert_eq!(shared.reference_count(), 2);
}

#[test]
fn copies_work_while_it_is_exposed_and_guards_never_do() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    let shared = SharedStore::zeroed(8).unwrap();
    let mut store = BackingStore::from(shared.clone());
    let hold = Hold::new(&store, isolate.id()).unwrap();
    shared.copy_from_slice(0, &[1; 8]).unwrap();
    // SAFETY: there is no script.
    unsafe { adapter::copy_from_slice_in(&store, isolate.id(), 0, &[2; 4]) }.unwrap();
    assert_eq!(store.to_vec().unwrap(), [2, 2, 2, 2, 1, 1, 1, 1]);
    let error = store.bytes().unwrap_err();
    assert!(matches!(error, Error::SharedSlice { attempted: "read", .. }), "{error}");
    assert!(error.to_string().contains("atomics"), "{error}");
    assert!(matches!(store.bytes_mut(), Err(Error::SharedSlice { attempted: "write", .. })));
    // SAFETY: as above.
    assert!(matches!(unsafe { adapter::cells_in(&store, isolate.id()) }, Err(Error::SharedSlice { .. })));
    drop(hold);
}

#[test]
fn a_backing_store_turns_back_into_a_shared_one_and_no_other_does() {
    let shared = SharedStore::growable(8, 16).unwrap();
    let part = shared.slice(2..4).unwrap();
    let store = BackingStore::from(part.clone());
    assert_eq!(store.kind(), StoreKind::SHARED_GROWABLE);
    let back = SharedStore::try_from(store).unwrap();
    assert_eq!((back.byte_offset(), back.byte_length(), back.max_byte_length()), (2, 2, 2));
    assert!(back == part && back.id() == shared.id() && back.is_growable());
    assert!(matches!(back.grow(4), Err(Error::NotResizable { .. })));
    let fixed = BackingStore::from(UniqueStore::zeroed(8).unwrap());
    assert_eq!(SharedStore::try_from(fixed.clone()).unwrap_err().into_inner(), fixed);
    let rejected = BackingStore::from(shared).try_into_unique().unwrap_err();
    assert!(matches!(rejected.error(), Error::NotUnique { reason: NotUnique::Kind, .. }));
}

#[test]
fn a_weak_handle_upgrades_while_a_reference_lives() {
    let shared = SharedStore::zeroed(8).unwrap();
    let weak = shared.downgrade();
    let upgraded = SharedStore::try_from(weak.upgrade().unwrap()).unwrap();
    assert_eq!(upgraded, shared);
    drop((upgraded, shared));
    assert!(weak.upgrade().is_none());
}

struct Told(Vec<u8>, mpsc::Sender<usize>);

impl Drop for Told {
    fn drop(&mut self) {
        self.1.send(self.0.len()).unwrap();
    }
}

// SAFETY: the elements of a vector stay where they are, and no other code uses them.
unsafe impl Owner for Told {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::from(self.0.as_mut_slice())
    }
}

#[test]
fn its_owner_is_dropped_once_with_the_last_of_eight_threads() {
    let (sender, receiver) = mpsc::channel();
    let store = SharedStore::from_owner(Told(vec![1; 64], sender)).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                for _ in 0..1000 {
                    let clone = store.clone();
                    assert!(clone.as_atomics().iter().all(|byte| byte.load(Ordering::Relaxed) == 1));
                }
            });
        }
    });
    assert!(receiver.try_recv().is_err());
    drop(store);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [64]);
}
