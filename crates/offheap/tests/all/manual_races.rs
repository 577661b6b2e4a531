//! Shared manual memory that is freed beside threads that take references to it.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{Error, ManualHeap, ManualMemory, ManualOptions, SharedStore};

fn shared(byte_length: usize) -> ManualMemory {
    let options = ManualOptions { shared: true, ..ManualOptions::default() };
    ManualMemory::allocate_with(byte_length, options).unwrap()
}

/// Frees memory beside `user`, many times. `user` returns whether it had the memory.
fn beside_a_free(user: impl Fn(&ManualMemory) -> bool + Sync, free: fn(&ManualMemory) -> Result<(), Error>) {
    let used = AtomicUsize::new(0);
    for round in 0..2000 {
        let memory = shared(64);
        let begun = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                begun.wait();
                // A few times only: nothing is freed beside a user that never drops its reference.
                let uses = (0..20).take_while(|_| user(&memory)).count();
                used.fetch_add(uses, Ordering::Relaxed);
            });
            begun.wait();
            (0..round % 200).for_each(|_| std::hint::spin_loop());
            loop {
                match free(&memory) {
                    Ok(()) => break,
                    Err(error) => assert!(matches!(error, Error::FreeInUse { .. }), "{error}"),
                }
            }
        });
    }
    assert_ne!(used.into_inner(), 0, "they met");
}

/// A user that could write has the memory until it drops its reference.
fn writes_and_reads(store: &SharedStore) -> bool {
    if store.copy_from_slice(0, &[7; 64]).is_err() {
        return false;
    }
    for _ in 0..3 {
        let read = store.to_vec();
        assert!(read.as_ref().is_ok_and(|bytes| *bytes == [7; 64]), "freed while a reference lives: {read:?}");
    }
    true
}

fn shared_store(memory: &ManualMemory) -> SharedStore {
    SharedStore::try_from(memory.store().clone()).unwrap()
}

#[test]
fn a7_a_clone_beside_a_free_is_counted_or_finds_it_freed() {
    beside_a_free(|memory| writes_and_reads(&shared_store(memory)), ManualMemory::free);
}

#[test]
fn a7_a_clone_of_a_handle_beside_a_free_hides_no_reference() {
    let user = |memory: &ManualMemory| {
        let (first, second) = (memory.clone(), memory.clone());
        let store = shared_store(&first);
        drop((first, second));
        writes_and_reads(&store)
    };
    beside_a_free(user, ManualMemory::free);
    beside_a_free(user, |memory| ManualHeap::free(memory.as_ptr()));
}

#[test]
fn a7_a_buffer_beside_a_free_is_over_live_memory() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    let user = |memory: &ManualMemory| match Hold::new(memory.store(), isolate.id()) {
        Ok(hold) => {
            let store = hold.store(hold.data().as_ptr(), hold.byte_length());
            assert!(writes_and_reads(&SharedStore::try_from(store).unwrap()), "exposed and freed");
            true
        }
        Err(error) => {
            assert!(matches!(error, Error::Freed { .. }), "{error}");
            false
        }
    };
    beside_a_free(user, ManualMemory::free);
}

#[test]
fn a6_a_handle_is_to_bytes_of_its_store_also_after_a_free() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    let outside = |memory: &ManualMemory, hold: &Hold| {
        let data = hold.data().as_ptr();
        for (start, byte_length) in [(1 << 40, 64), (0, 65), (64, 1), (usize::MAX, 1), (8, usize::MAX), (8, 64)] {
            let address = data.wrapping_add(start);
            let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hold.store(address, byte_length)));
            assert!(made.is_err(), "a handle to {start}+{byte_length} of {} bytes", memory.byte_length());
        }
    };
    let memory = shared(64);
    let hold = Hold::new(memory.store(), isolate.id()).unwrap();
    outside(&memory, &hold);
    drop(hold);
    memory.free().unwrap();
    // A hold is made before the free or not at all, as the other thread would see.
    assert!(matches!(Hold::new(memory.store(), isolate.id()), Err(Error::Freed { .. })));
    let store = shared_store(&memory);
    assert_eq!((store.as_atomics().len(), store.slice(..).unwrap().as_atomics().len()), (0, 0));
    assert!(matches!(store.slice(0..1), Err(Error::OutOfRange { .. })));
}

#[test]
fn a6_a_hold_that_was_made_beside_a_free_gives_no_handle_to_any_address() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    let user = |memory: &ManualMemory| match Hold::new(memory.store(), isolate.id()) {
        Ok(hold) => {
            let outside = hold.data().as_ptr().wrapping_add(1 << 40);
            let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hold.store(outside, 64)));
            assert!(made.is_err(), "a handle to any address: {made:?}");
            true
        }
        Err(_) => false,
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    beside_a_free(user, ManualMemory::free);
    std::panic::set_hook(hook);
}
