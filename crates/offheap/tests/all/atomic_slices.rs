//! Shared memory as integers: every operation, every size, several sizes and many threads at the same time.

use std::panic::catch_unwind;
use std::sync::Barrier;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use offheap::{AtomicInteger, AtomicSlice, Error, ManualMemory, ManualOptions, MapMode, Mapped, SharedStore};

/// Every operation on the second of three elements, against the same operation on a plain integer.
macro_rules! each_operation {
    ($($name:ident: $int:ty;)*) => {$(
        #[test]
        fn $name() {
            let store = SharedStore::zeroed(3 * size_of::<$int>()).unwrap();
            let slice = store.atomic_slice::<$int>().unwrap();
            assert_eq!((slice.len(), slice.is_empty()), (3, false));
            let (a, b) = (<$int>::MAX / 3, <$int>::MIN.wrapping_add(5));
            let check = |expected: $int| {
                assert_eq!(slice.load(1), expected);
                assert_eq!(store.copy_out::<$int>().unwrap(), [0, expected, 0]);
            };
            slice.store(1, a);
            check(a);
            assert_eq!(slice.swap(1, b), a);
            check(b);
            assert_eq!(slice.fetch_add(1, <$int>::MAX), b);
            let mut now = b.wrapping_add(<$int>::MAX);
            check(now);
            assert_eq!(slice.fetch_add(1, 100), now);
            now = now.wrapping_add(100);
            check(now);
            assert_eq!(slice.fetch_sub(1, <$int>::MIN.wrapping_add(7)), now);
            now = now.wrapping_sub(<$int>::MIN.wrapping_add(7));
            check(now);
            assert_eq!(slice.fetch_or(1, a), now);
            now |= a;
            check(now);
            assert_eq!(slice.fetch_xor(1, !b), now);
            now ^= !b;
            check(now);
            assert_eq!(slice.fetch_and(1, a.wrapping_add(1)), now);
            now &= a.wrapping_add(1);
            check(now);
            assert_eq!(slice.compare_exchange(1, now.wrapping_add(1), 3), Err(now));
            check(now);
            assert_eq!(slice.compare_exchange(1, now, !0), Ok(now));
            check(!0);
            assert_eq!(slice.compare_exchange(1, !0, <$int>::MIN), Ok(!0));
            check(<$int>::MIN);
            assert_eq!(slice.compare_exchange(1, <$int>::MIN, 1), Ok(<$int>::MIN));
            check(1);
        }
    )*};
}

each_operation! {
    every_operation_on_i8: i8;
    every_operation_on_u8: u8;
    every_operation_on_i16: i16;
    every_operation_on_u16: u16;
    every_operation_on_i32: i32;
    every_operation_on_u32: u32;
    every_operation_on_i64: i64;
    every_operation_on_u64: u64;
}

fn count<T: AtomicInteger>(slice: AtomicSlice<'_, T>, change: impl Fn(&AtomicSlice<'_, T>) + Sync) {
    const THREADS: usize = 4;
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..20_000 {
                    change(&slice);
                }
            });
        }
    });
}

#[test]
fn no_change_by_another_thread_is_lost() {
    let store = SharedStore::zeroed(16).unwrap();
    count(store.atomic_slice::<i32>().unwrap(), |slice| {
        slice.fetch_add(1, 1);
    });
    count(store.atomic_slice::<u16>().unwrap(), |slice| {
        slice.fetch_sub(0, 1);
    });
    count(store.atomic_slice::<u64>().unwrap(), |slice| {
        let mut found = slice.load(1);
        while let Err(other) = slice.compare_exchange(1, found, found + 3) {
            found = other;
        }
    });
    assert_eq!(store.atomic_slice::<i32>().unwrap().load(1), 80_000);
    assert_eq!(store.atomic_slice::<u16>().unwrap().load(0), (80_000_u32 as u16).wrapping_neg());
    assert_eq!(store.atomic_slice::<u64>().unwrap().load(1), 240_000);
}

#[test]
fn bits_are_flipped_an_even_number_of_times() {
    let store = SharedStore::zeroed(8).unwrap();
    count(store.atomic_slice::<u8>().unwrap(), |slice| {
        slice.fetch_xor(3, 0xff);
    });
    assert_eq!(store.to_vec().unwrap(), [0; 8]);
}

fn repeat(mut change: impl FnMut()) {
    (0..20_000).for_each(|_| change());
}

#[test]
fn several_sizes_change_the_same_bytes_at_the_same_time() {
    let store = SharedStore::zeroed(8).unwrap();
    let (words, halves, bytes) = (store.atomic_slice::<u64>(), store.atomic_slice::<u16>(), store.atomic_slice::<u8>());
    let (words, halves, bytes) = (words.unwrap(), halves.unwrap(), bytes.unwrap());
    thread::scope(|scope| {
        // Little endian: each changes bits of its own, and nothing carries over.
        scope.spawn(|| repeat(|| _ = words.fetch_add(0, 1 << 32)));
        scope.spawn(|| repeat(|| _ = halves.fetch_add(0, 1)));
        scope.spawn(|| repeat(|| _ = bytes.fetch_xor(3, 1)));
        scope.spawn(|| repeat(|| _ = store.as_atomics()[2].fetch_xor(1, Ordering::SeqCst)));
        scope.spawn(|| repeat(|| _ = store.to_vec().unwrap()));
    });
    assert_eq!(words.load(0), (20_000 << 32) | 20_000);
}

#[test]
fn it_works_beside_the_atomics_of_std() {
    let store = SharedStore::zeroed(4).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| repeat(|| _ = store.atomic_slice::<i32>().unwrap().fetch_add(0, 1)));
        scope.spawn(|| {
            // SAFETY: no other atomics of std are used.
            let numbers = unsafe { store.as_atomics_of::<AtomicI32>() }.unwrap();
            repeat(|| _ = numbers[0].fetch_add(1, Ordering::Relaxed));
        });
    });
    assert_eq!(store.copy_out::<i32>().unwrap(), [40_000]);
}

#[test]
fn what_was_written_before_a_store_is_read_after_a_load() {
    let store = SharedStore::zeroed(8).unwrap();
    for round in 1..2000_u32 {
        thread::scope(|scope| {
            scope.spawn(|| {
                store.as_atomics()[4].store(round as u8, Ordering::Relaxed);
                store.atomic_slice::<u32>().unwrap().store(0, round);
            });
            while store.atomic_slice::<u32>().unwrap().load(0) != round {
                std::hint::spin_loop();
            }
            assert_eq!(store.as_atomics()[4].load(Ordering::Relaxed), round as u8);
        });
    }
}

#[test]
fn an_index_beyond_the_end_panics() {
    let store = SharedStore::zeroed(8).unwrap();
    let slice = store.atomic_slice::<u32>().unwrap();
    for index in [2, 3, usize::MAX, usize::MAX / 4 + 1] {
        let panic = catch_unwind(|| slice.store(index, 1)).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert_eq!(message, &format!("index {index} is out of range for 2 elements"));
        assert!(catch_unwind(|| slice.load(index)).is_err() && catch_unwind(|| slice.fetch_or(index, 1)).is_err());
    }
    assert_eq!(store.to_vec().unwrap(), [0; 8]);
    assert_eq!(format!("{slice:?}"), r#"AtomicSlice { element: "u32", len: 2 }"#);
}

#[test]
fn it_needs_alignment_and_whole_elements() {
    let store = SharedStore::zeroed(12).unwrap();
    assert!(matches!(store.atomic_slice::<i64>(), Err(Error::PartialElement { byte_length: 12, element_size: 8, .. })));
    let part = store.slice(4..12).unwrap();
    assert!(matches!(part.atomic_slice::<u64>(), Err(Error::Misaligned { byte_offset: 4, alignment: 8, .. })));
    part.atomic_slice::<u32>().unwrap().store(1, 7);
    assert_eq!(store.copy_out::<u32>().unwrap(), [0, 0, 7]);
    assert!(SharedStore::zeroed(0).unwrap().atomic_slice::<u64>().unwrap().is_empty());
}

#[test]
fn it_has_the_length_at_which_it_was_made() {
    let store = SharedStore::growable(4, 4096).unwrap();
    let before = store.atomic_slice::<i32>().unwrap();
    store.grow(8).unwrap();
    assert_eq!((before.len(), store.atomic_slice::<i32>().unwrap().len()), (1, 2));
}

#[test]
fn it_works_on_shared_manual_memory_and_on_maps() {
    let memory = ManualMemory::allocate_with(8, ManualOptions { shared: true, ..Default::default() }).unwrap();
    let shared = SharedStore::try_from(memory.store().clone()).unwrap();
    let slice = shared.atomic_slice::<i64>().unwrap();
    assert!(memory.free().is_err(), "the memory is freed while a slice lives");
    slice.fetch_sub(0, 2);
    assert_eq!(shared.copy_out::<i64>().unwrap(), [-2]);

    let path = std::env::temp_dir().join(format!("offheap-atomic-{}", std::process::id()));
    std::fs::write(&path, [1, 0, 0, 0]).unwrap();
    let mapped = Mapped::open(&path, MapMode::ReadWrite).unwrap();
    let shared = SharedStore::try_from(mapped).unwrap();
    assert_eq!(shared.atomic_slice::<u32>().unwrap().fetch_add(0, 0x100), 1);
    drop(shared);
    assert_eq!(std::fs::read(&path).unwrap(), [1, 1, 0, 0]);
    std::fs::remove_file(&path).unwrap();
}
