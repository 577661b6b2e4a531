//! Guards: readers and writers exclude each other, on one thread and on two.

use std::thread;

use offheap::{BackingStore, Error, Holder, UniqueStore};

fn store() -> BackingStore {
    UniqueStore::from_owner(vec![1u8, 2, 3, 4]).unwrap().into()
}

fn is_busy<T>(result: Result<T, Error>, expected: Holder) -> bool {
    matches!(result, Err(Error::Busy { holder, .. }) if holder == expected)
}

#[test]
fn many_readers_share_the_bytes() {
    let store = store();
    let (first, second) = (store.bytes().unwrap(), store.bytes().unwrap());
    assert_eq!(first[..], second[..]);
    assert_eq!(store.to_vec().unwrap(), [1, 2, 3, 4]);
}

#[test]
fn a_reader_keeps_writers_of_other_handles_out() {
    let store = store();
    let mut other = store.clone();
    let reader = store.bytes().unwrap();
    assert!(is_busy(other.bytes_mut(), Holder::Readers(1)));
    drop(reader);
    other.bytes_mut().unwrap()[0] = 9;
    assert_eq!(store.bytes().unwrap()[0], 9);
}

#[test]
fn a_writer_keeps_readers_writers_and_copies_of_other_handles_out() {
    let mut store = store();
    let mut other = store.clone();
    let writer = store.bytes_mut().unwrap();
    assert!(is_busy(other.bytes(), Holder::Writer));
    assert!(is_busy(other.bytes_mut(), Holder::Writer));
    assert!(is_busy(other.to_vec(), Holder::Writer));
    assert!(is_busy(other.copy_to_slice(0, &mut [0]), Holder::Writer));
    drop(writer);
    assert!(other.bytes().is_ok());
}

#[test]
fn a_writer_of_a_part_excludes_the_whole() {
    let store = store();
    let mut part = store.slice(0..1).unwrap();
    let writer = part.bytes_mut().unwrap();
    assert!(is_busy(store.bytes(), Holder::Writer));
    assert!(is_busy(store.slice(2..3).unwrap().bytes(), Holder::Writer));
    drop(writer);
}

#[test]
fn a_part_lends_only_its_bytes() {
    let store = store();
    let mut part = store.slice(1..3).unwrap();
    assert_eq!(part.bytes().unwrap()[..], [2, 3]);
    part.bytes_mut().unwrap().fill(0);
    assert_eq!(store.to_vec().unwrap(), [1, 0, 0, 4]);
    assert_eq!(part.slice(1..).unwrap().byte_offset(), 2);
    assert!(matches!(part.copy_to_slice(1, &mut [0, 0]), Err(Error::OutOfRange { .. })));
}

#[test]
fn a_guard_refuses_another_thread() {
    let mut store = store();
    let mut other = store.clone();
    let writer = store.bytes_mut().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(is_busy(other.bytes(), Holder::Writer));
            assert!(is_busy(other.bytes_mut(), Holder::Writer));
            assert!(is_busy(other.to_vec(), Holder::Writer));
        });
    });
    drop(writer);
    thread::spawn(move || other.bytes_mut().unwrap().fill(0)).join().unwrap();
    assert_eq!(store.to_vec().unwrap(), [0; 4]);
}

#[test]
fn no_two_threads_write_at_once() {
    // Each thread adds one to a number of four bytes, in steps that a second writer would disturb.
    let store = BackingStore::from(UniqueStore::zeroed(4).unwrap());
    let written: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let mut store = store.clone();
                scope.spawn(move || {
                    let mut written = 0;
                    for _ in 0..10_000 {
                        let Ok(mut bytes) = store.bytes_mut() else { continue };
                        let number = u32::from_ne_bytes(bytes[..].try_into().unwrap());
                        bytes.copy_from_slice(&(number + 1).to_ne_bytes());
                        written += 1;
                    }
                    written
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(store.copy_out::<u32>().unwrap(), [written]);
}

#[test]
fn a_refused_guard_names_the_store_and_what_to_do() {
    let store = store();
    let reader = store.bytes().unwrap();
    let error = store.clone().bytes_mut().unwrap_err().to_string();
    assert!(error.contains(&format!("cannot write store {}", store.id())), "{error}");
    assert!(error.contains("drop that guard"), "{error}");
    drop(reader);
}

#[test]
fn a_guard_that_is_forgotten_keeps_writers_out_and_the_memory_alive() {
    let store = store();
    std::mem::forget(store.bytes().unwrap());
    assert!(is_busy(store.clone().bytes_mut(), Holder::Readers(1)));
    assert_eq!(store.reference_count(), 2);
}

#[test]
fn a_panic_while_a_guard_lives_ends_the_guard() {
    let store = store();
    let mut other = store.clone();
    let panicked = thread::spawn(move || {
        let _writer = other.bytes_mut().unwrap();
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    assert!(store.bytes().is_ok());
}
