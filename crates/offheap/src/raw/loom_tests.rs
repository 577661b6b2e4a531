//! Models of the reference count and the access word, which loom runs in every order that the memory model allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p offheap --lib --release`
//!
//! Results do not show every race. So the memory of a model is a [`Plain`] cell, whose uses loom checks like a race
//! detector, and control blocks come from loom's allocator, which reports leaks.

mod access;
mod claims;
mod growth;
mod hosts;
mod manual;
mod shared;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::ptr::NonNull;

use super::{Memory, NotTaken, Owner, RawStore, RawWeak, UniqueRef};
use crate::{Site, StoreKind};

/// Stands for the bytes of a store.
struct Plain(UnsafeCell<u32>);

// SAFETY: the models show that no two threads use it at once; loom fails if they do.
unsafe impl Send for Plain {}
// SAFETY: as above.
unsafe impl Sync for Plain {}

impl Plain {
    fn new() -> Arc<Plain> {
        Arc::new(Plain(UnsafeCell::new(0)))
    }

    fn read(&self) -> u32 {
        // SAFETY: the cell is live, and loom checks that no other thread writes it.
        self.0.with(|value| unsafe { *value })
    }

    fn write(&self, written: u32) {
        // SAFETY: the cell is live, and loom checks that no other thread uses it.
        self.0.with_mut(|value| unsafe { *value = written })
    }
}

/// An owner whose drop writes its memory. That is a race unless every use came before.
struct Watched(Arc<Plain>);

/// The value of the memory after its owner was dropped.
const DROPPED: u32 = 0xdead;

impl Drop for Watched {
    fn drop(&mut self) {
        assert_ne!(self.0.read(), DROPPED, "dropped twice");
        self.0.write(DROPPED);
    }
}

// SAFETY: no bytes.
unsafe impl Owner for Watched {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(NonNull::dangling(), 0)
    }
}

fn store() -> (RawStore, Arc<Plain>) {
    let memory = Plain::new();
    let none = |_: &mut Watched| Memory { data: NonNull::dangling(), byte_length: 0 };
    let Ok(store) = RawStore::new(Watched(memory.clone()), StoreKind::FIXED, Site::here(), none) else {
        panic!("out of memory")
    };
    (store, memory)
}

/// Uses the memory through a reference, as a reader of it would.
fn use_through(_store: &RawStore, memory: &Plain) {
    assert_ne!(memory.read(), DROPPED, "used after its owner was dropped");
}

#[test]
fn count_the_owner_is_dropped_once_after_every_use_on_two_threads() {
    loom::model(|| {
        let (store, memory) = store();
        let (clone, seen) = (store.clone(), memory.clone());
        let other = thread::spawn(move || {
            let again = clone.clone();
            drop(clone);
            use_through(&again, &seen);
        });
        use_through(&store, &memory);
        drop(store);
        other.join().unwrap();
        assert_eq!(memory.read(), DROPPED);
    });
}

#[test]
fn count_the_owner_is_dropped_once_after_every_use_on_three_threads() {
    loom::model(|| {
        let (store, memory) = store();
        let others = [0; 2].map(|_| {
            let (clone, seen) = (store.clone(), memory.clone());
            thread::spawn(move || {
                use_through(&clone, &seen);
                drop(clone);
            })
        });
        drop(store);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(memory.read(), DROPPED);
    });
}

#[test]
fn weak_an_upgrade_races_with_the_last_drop() {
    loom::model(|| {
        let (store, memory) = store();
        let (weak, seen) = (store.downgrade(), memory.clone());
        let other = thread::spawn(move || {
            if let Some(store) = weak.upgrade() {
                use_through(&store, &seen);
            }
        });
        drop(store);
        other.join().unwrap();
        assert_eq!(memory.read(), DROPPED);
    });
}

#[test]
fn weak_two_handles_race_for_the_block() {
    loom::model(|| {
        let (store, memory) = store();
        let others = [0; 2].map(|_| {
            let weak: RawWeak = store.downgrade();
            thread::spawn(move || drop(weak))
        });
        drop(store);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(memory.read(), DROPPED);
    });
}

#[test]
fn unique_an_upgrade_finds_the_store_before_it_is_taken_or_never() {
    loom::model(|| {
        let (store, memory) = store();
        let (weak, seen) = (store.downgrade(), memory.clone());
        let other = thread::spawn(move || match weak.upgrade() {
            Some(store) => use_through(&store, &seen),
            None => drop(weak.clone()),
        });
        match store.into_unique() {
            Ok(unique) => {
                // As a writer would, which no other reference may see.
                memory.write(7);
                assert_eq!(unique.reference_count(), 1);
                drop(unique);
            }
            Err((reason, store)) => {
                assert_eq!(reason, NotTaken::References(2));
                drop(store);
            }
        }
        other.join().unwrap();
        assert_eq!(memory.read(), DROPPED);
    });
}

#[test]
fn unique_everything_done_through_the_other_reference_comes_first() {
    loom::model(|| {
        let (store, memory) = store();
        let (clone, seen) = (store.clone(), memory.clone());
        let other = thread::spawn(move || {
            use_through(&clone, &seen);
            drop(clone);
        });
        match UniqueRef::if_unique(store) {
            Ok(unique) => {
                memory.write(7);
                drop(unique.into_view());
            }
            Err((reason, store)) => {
                assert_eq!(reason, NotTaken::References(2));
                drop(store);
            }
        }
        other.join().unwrap();
        assert_eq!(memory.read(), DROPPED);
    });
}

#[test]
fn unique_the_owner_comes_back_whole_while_a_weak_handle_goes() {
    loom::model(|| {
        let (store, memory) = store();
        let weak = store.downgrade();
        let other = thread::spawn(move || drop(weak));
        let Ok(unique) = UniqueRef::if_unique(store) else { panic!("no other reference") };
        let Ok(owner) = unique.try_into_owner::<Watched>() else { panic!("another type") };
        assert_eq!(memory.read(), 0, "not dropped");
        drop(owner);
        other.join().unwrap();
        assert_eq!(memory.read(), DROPPED);
    });
}
