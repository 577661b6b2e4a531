//! Resizable stores: one address, new bytes that are zero, and memory that is given back.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use offheap::adapter::{self, Hold, IsolateRegistration};
use offheap::{BackingStore, Error, Holder, NotUnique, StoreKind, UniqueStore};

fn store(byte_length: usize, max_byte_length: usize) -> BackingStore {
    UniqueStore::resizable(byte_length, max_byte_length).unwrap().into()
}

#[test]
fn the_address_stays_whatever_the_length_becomes() {
    let mut store = store(0, 1 << 30);
    let address = store.as_ptr();
    for byte_length in [1, 4095, 4096, 4097, 65_536, 1 << 24, 3, 0, 1 << 30, 0] {
        store.resize(byte_length).unwrap();
        assert_eq!((store.as_ptr(), store.byte_length(), store.max_byte_length()), (address, byte_length, 1 << 30));
    }
    assert_eq!(store.kind(), StoreKind::RESIZABLE);
}

#[test]
fn every_length_and_maximum_at_the_borders_of_pages_works() {
    let sizes = [0, 1, 2, 4095, 4096, 4097, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537];
    for max_byte_length in sizes {
        for byte_length in sizes.into_iter().filter(|&byte_length| byte_length <= max_byte_length) {
            let mut store = UniqueStore::resizable(byte_length, max_byte_length).unwrap();
            assert!(store.iter().all(|&byte| byte == 0));
            store.fill(1);
            store.resize(max_byte_length).unwrap();
            assert!(store[byte_length..].iter().all(|&byte| byte == 0));
            store.fill(2);
            store.resize(byte_length).unwrap();
            assert!(store.iter().all(|&byte| byte == 2));
            store.resize(max_byte_length).unwrap();
            assert!(store[byte_length..].iter().all(|&byte| byte == 0), "{byte_length} of {max_byte_length}");
        }
    }
}

#[test]
fn a_length_above_the_maximum_is_an_error_that_says_what_to_do() {
    let mut store = store(10, 65_536);
    let error = store.resize(70_000).unwrap_err().to_string();
    let expected = format!(
        "cannot resize store {} to 70000 bytes: 65536 bytes are reserved; create it with max_byte_length >= 70000",
        store.id()
    );
    assert_eq!(error, expected);
    assert_eq!(store.byte_length(), 10);
    let error = UniqueStore::resizable(11, 10).unwrap_err();
    assert!(matches!(error, Error::MaximumTooSmall { byte_length: 11, max_byte_length: 10 }), "{error}");
}

#[test]
fn a_maximum_that_is_no_allocation_is_an_error() {
    for max_byte_length in [isize::MAX as usize + 1, usize::MAX] {
        let error = UniqueStore::resizable(0, max_byte_length).unwrap_err();
        assert!(matches!(error, Error::TooLarge { requested, .. } if requested == max_byte_length), "{error}");
    }
    for max_byte_length in [isize::MAX as usize, isize::MAX as usize - 4096] {
        let error = UniqueStore::resizable(0, max_byte_length).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { requested } if requested == max_byte_length), "{error}");
    }
}

#[test]
fn memory_of_one_length_is_not_resizable() {
    let mut unique = UniqueStore::zeroed(8).unwrap();
    assert!(matches!(unique.resize(8), Err(Error::NotResizable { requested: 8, .. })));
    assert_eq!(unique.max_byte_length(), 8);
    let mut store = BackingStore::from(unique);
    assert!(matches!(store.resize(4), Err(Error::NotResizable { .. })));
}

#[test]
fn it_comes_back_as_a_unique_store() {
    let mut store = store(4, 100);
    store.bytes_mut().unwrap().fill(3);
    let other = store.clone();
    let rejected = store.try_into_unique().unwrap_err();
    assert!(matches!(rejected.error(), Error::NotUnique { reason: NotUnique::References(2), .. }));
    drop(other);
    let weak = rejected.into_inner();
    let (weak, store) = (weak.downgrade(), weak);
    let mut unique = store.try_into_unique().unwrap();
    assert!(weak.upgrade().is_none());
    unique.resize(6).unwrap();
    assert_eq!((&unique[..], unique.max_byte_length()), (&[3, 3, 3, 3, 0, 0][..], 100));
}

#[test]
fn all_handles_see_the_length_that_was_published_last() {
    let mut store = store(4, 100);
    let other = store.clone();
    store.resize(50).unwrap();
    assert_eq!((other.byte_length(), other.to_vec().unwrap().len()), (50, 50));
}

#[test]
fn a_guard_keeps_the_length_from_shrinking_and_not_from_growing() {
    let mut store = store(8, 100);
    let mut other = store.clone();
    let reader = store.bytes().unwrap();
    assert!(matches!(other.resize(4), Err(Error::Busy { holder: Holder::Readers(1), attempted: "resize", .. })));
    other.resize(16).unwrap();
    assert_eq!(reader.len(), 8);
    drop(reader);
    let mut writer = store.bytes_mut().unwrap();
    assert!(matches!(other.resize(4), Err(Error::Busy { holder: Holder::Writer, .. })));
    other.resize(32).unwrap();
    writer.fill(1);
    drop(writer);
    other.resize(4).unwrap();
    assert_eq!(other.to_vec().unwrap(), [1; 4]);
}

#[test]
fn an_exposed_store_is_resized_only_by_its_hold() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    let mut store = store(8, 100);
    let hold = Hold::new(&store, isolate.id()).unwrap();
    for byte_length in [4, 8, 16] {
        assert!(matches!(store.resize(byte_length), Err(Error::Exposed { attempted: "resize", .. })));
    }
    hold.resize(16).unwrap();
    assert_eq!(store.byte_length(), 16);
    hold.resize(2).unwrap();
    hold.resize(16).unwrap();
    assert_eq!(store.to_vec().unwrap(), [0; 16]);
    assert!(matches!(hold.resize(101), Err(Error::AboveMaximum { requested: 101, max_byte_length: 100, .. })));
    drop(hold);
    store.resize(4).unwrap();
}

#[test]
fn a_guard_in_the_isolate_keeps_a_hold_from_shrinking_its_store() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    let store = store(8, 100);
    let hold = Hold::new(&store, isolate.id()).unwrap();
    // SAFETY: there is no script.
    let cells = unsafe { adapter::cells_in(&store, isolate.id()) }.unwrap();
    assert!(matches!(hold.resize(4), Err(Error::Busy { holder: Holder::Writer, .. })));
    hold.resize(8).unwrap();
    hold.resize(9).unwrap();
    cells[7].set(1);
    drop(cells);
    hold.resize(4).unwrap();
    hold.resize(8).unwrap();
    assert_eq!(store.to_vec().unwrap(), [0; 8]);
}

#[test]
fn a_hold_on_memory_of_one_length_does_not_resize() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    let hold = Hold::new(&UniqueStore::zeroed(4).unwrap().into(), isolate.id()).unwrap();
    assert!(matches!(hold.resize(3), Err(Error::NotResizable { .. })));
}

#[test]
fn a_part_that_the_store_shrank_below_is_out_of_bounds_until_it_grows_back() {
    let mut store = store(16, 100);
    store.bytes_mut().unwrap()[8..].fill(5);
    let mut part = store.slice(8..16).unwrap();
    let inner = part.slice(1..2).unwrap();
    assert!(!part.is_out_of_bounds());
    store.resize(15).unwrap();
    assert!(part.is_out_of_bounds() && !inner.is_out_of_bounds() && !store.is_out_of_bounds());
    assert_eq!((part.byte_length(), part.max_byte_length(), part.byte_offset()), (0, 0, 8));
    let error = part.bytes().unwrap_err();
    assert!(matches!(error, Error::OutOfRange { offset: 8, byte_length: 8, store_byte_length: 15, .. }), "{error}");
    assert!(matches!(part.bytes_mut(), Err(Error::OutOfRange { .. })));
    assert!(matches!(part.copy_to_slice(0, &mut [0]), Err(Error::OutOfRange { offset: 8, byte_length: 1, .. })));
    assert!(matches!(part.copy_to_slice(0, &mut []), Err(Error::OutOfRange { .. })));
    assert!(matches!(part.to_vec(), Err(Error::OutOfRange { .. })));
    assert!(matches!(part.slice(0..1), Err(Error::OutOfRange { .. })));
    assert!(matches!(part.resize(1), Err(Error::NotResizable { .. })));
    assert_eq!(inner.to_vec().unwrap(), [5]);
    // The refusals left no guard behind.
    store.resize(0).unwrap();
    store.resize(16).unwrap();
    assert_eq!(part.bytes().unwrap()[..], [0; 8]);
    assert_eq!(part.byte_length(), 8);
}

#[test]
fn handles_to_different_parts_differ_also_out_of_bounds() {
    let mut store = store(16, 16);
    let (one, other) = (store.slice(8..10).unwrap(), store.slice(8..12).unwrap());
    store.resize(0).unwrap();
    assert_ne!(one, other);
    assert_eq!(one, one.clone());
}

#[test]
fn two_resizes_at_once_leave_one_of_the_lengths_and_zeros() {
    let first = store(0, 1 << 20);
    thread::scope(|scope| {
        for seed in 0..4usize {
            let mut store = first.clone();
            scope.spawn(move || {
                for round in 0..2000 {
                    let byte_length = (seed * 7919 + round * 104_729) % (1 << 20);
                    match store.resize(byte_length) {
                        Ok(()) | Err(Error::Busy { holder: Holder::Resizing | Holder::Readers(_), .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert!(first.to_vec().unwrap().iter().all(|&byte| byte == 0));
}

#[test]
fn copies_run_while_the_store_shrinks_and_grows() {
    let mut store = store(1 << 20, 1 << 20);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            let (store, done) = (store.clone(), &done);
            scope.spawn(move || {
                let mut copies = 0;
                while !done.load(Ordering::Relaxed) || copies == 0 {
                    match store.to_vec() {
                        Ok(bytes) => assert!(bytes.iter().all(|&byte| byte == 0 || byte == 9)),
                        Err(Error::Busy { holder: Holder::Writer, .. }) => continue,
                        Err(error) => panic!("{error}"),
                    }
                    copies += 1;
                }
            });
        }
        for round in 0..200 {
            match store.bytes_mut() {
                Ok(mut bytes) => bytes.fill(9),
                Err(Error::Busy { holder: Holder::Readers(_), .. }) => {}
                Err(error) => panic!("{error}"),
            }
            store.resize(round * 37).unwrap();
            store.resize(1 << 20).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn bytes_that_shrinking_took_stay_readable_and_read_as_zeros() {
    let mut store = store(1 << 20, 1 << 20);
    store.bytes_mut().unwrap().fill(0xff);
    let data: *const u8 = store.as_ptr().cast();
    store.resize(100).unwrap();
    for offset in [100, 4095, 4096, 500_000, (1 << 20) - 1] {
        let byte = data.wrapping_add(offset);
        // SAFETY: I-MAPPED: inside the store's earlier length, which stays mapped.
        assert_eq!(unsafe { byte.read_volatile() }, 0, "{offset}");
    }
    assert_eq!(store.to_vec().unwrap(), [0xff; 100]);
}

/// Anonymous memory of this process that is in RAM, in bytes.
#[cfg(target_os = "linux")]
fn resident_anonymous() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

/// Runs one test of this file in a child process, where nothing else uses memory.
fn in_a_child(test: &str, variable: &str) {
    let test = format!("resizable::{test}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .env(variable, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("running 1 test"));
}

const CHILD: &str = "OFFHEAP_TEST_CHILD";

#[test]
#[cfg(target_os = "linux")]
fn memory_comes_as_it_is_written_and_goes_as_the_store_shrinks() {
    if std::env::var_os(CHILD).is_none() {
        return in_a_child("memory_comes_as_it_is_written_and_goes_as_the_store_shrinks", CHILD);
    }
    const WRITTEN: usize = 64 << 20;
    let before = resident_anonymous();
    let mut store = UniqueStore::resizable(0, 1 << 30).unwrap();
    for byte_length in (4096..=WRITTEN).step_by(4096) {
        store.resize(byte_length).unwrap();
        store[byte_length - 4096..].fill(1);
    }
    let written = resident_anonymous() - before;
    assert!((WRITTEN..=WRITTEN + (2 << 20)).contains(&written), "{written}");
    store.resize(1 << 30).unwrap();
    assert!(resident_anonymous() - before <= WRITTEN + (2 << 20));
    store.resize(1 << 20).unwrap();
    let left = resident_anonymous() - before;
    assert!(left <= 3 << 20, "{left} bytes are left of {written}");
    assert!(store.iter().all(|&byte| byte == 1));
    drop(store);
}

#[test]
#[cfg(target_os = "linux")]
fn where_the_kernel_refuses_writable_pages_they_are_committed_as_the_store_grows() {
    if std::env::var_os(CHILD).is_none() {
        return in_a_child("where_the_kernel_refuses_writable_pages_they_are_committed_as_the_store_grows", CHILD);
    }
    let limit = libc::rlimit { rlim_cur: 64 << 20, rlim_max: 64 << 20 };
    // SAFETY: sets a limit of this process to a value that it may have.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) }, 0);
    let mut store = UniqueStore::resizable(10, 1 << 30).unwrap();
    for byte_length in [4096, 100_000, 1 << 20, 20 << 20] {
        store.resize(byte_length).unwrap();
        store.fill(1);
    }
    let error = store.resize(100 << 20).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    assert_eq!(store.byte_length(), 20 << 20);
    store.resize(1).unwrap();
    store.resize(20 << 20).unwrap();
    assert_eq!(store.iter().map(|&byte| usize::from(byte)).sum::<usize>(), 1);
}

#[test]
fn eight_threads_clone_and_drop_while_one_resizes_and_the_memory_goes_once() {
    let mut store = store(4096, 1 << 20);
    let weak = store.downgrade();
    thread::scope(|scope| {
        for _ in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                for _ in 0..2000 {
                    let (clone, weak) = (store.clone(), store.downgrade());
                    assert!(clone.byte_length() >= 4096 && weak.upgrade().is_some());
                    drop(clone.slice(..4096).unwrap());
                }
            });
        }
        for round in 0..500 {
            store.resize(4096 + round * 37).unwrap();
        }
    });
    assert_eq!(store.reference_count(), 1);
    drop(store.try_into_unique().unwrap());
    assert!(weak.upgrade().is_none());
}
