//! Shared manual memory: a free beside threads that take references to it.

use loom::sync::Arc;
use loom::thread;
use std::ptr::NonNull;

use super::{DROPPED, Plain};
use crate::raw::access::Denied;
use crate::raw::manual::{ManualHandle, ManualOwner};
use crate::raw::{Memory, RawStore, View};
use crate::{Holder, Site, StoreKind};

/// The reference of the memory's block, a handle, and a cell that stands for the bytes.
fn memory() -> (RawStore, ManualHandle, Arc<Plain>) {
    let none = |_: &mut ManualOwner| Memory { data: NonNull::dangling(), byte_length: 0 };
    let Ok(raw) = RawStore::untold(ManualOwner::new(), StoreKind::manual(true, false), Site::here(), none) else {
        panic!("out of memory")
    };
    (raw.clone(), ManualHandle::first(raw), Plain::new())
}

/// Frees through a handle, as `ManualMemory::free` does.
fn free(handle: &ManualHandle, bytes: &Plain) -> Result<(), Denied> {
    handle.view().raw().mark_freed(2)?;
    bytes.write(DROPPED);
    Ok(())
}

/// Uses the bytes through a reference, unless they are freed.
fn use_through(view: View, bytes: &Plain) {
    if !view.raw().is_freed() {
        assert_ne!(bytes.read(), DROPPED, "freed while a reference lives");
        assert!(!view.raw().is_freed(), "freed while a reference lives");
    }
}

fn beside_a_free(take: fn(&ManualHandle) -> View) {
    loom::model(move || {
        let (room, handle, bytes) = memory();
        let (others, seen) = (handle.clone(), bytes.clone());
        let user = thread::spawn(move || {
            let view = take(&others);
            use_through(view, &seen);
        });
        let freed = free(&handle, &bytes);
        user.join().unwrap();
        match freed {
            Ok(()) => assert!(room.is_freed()),
            Err(denied) => {
                assert_eq!(denied, Denied::Busy(Holder::References(1)));
                assert_eq!(free(&handle, &bytes), Ok(()));
            }
        }
    });
}

#[test]
fn a7_a_clone_beside_a_free_is_counted_or_finds_the_mark() {
    beside_a_free(|handle| handle.view().clone());
}

#[test]
fn a7_handles_that_come_and_go_beside_a_free_hide_no_reference() {
    beside_a_free(|handle| {
        let more = handle.clone();
        more.view().clone()
    });
}

#[test]
fn a7_a_weak_handle_beside_a_free_is_counted_or_finds_the_mark() {
    beside_a_free(|handle| handle.view().downgrade().upgrade().expect("the block keeps it"));
}

#[test]
fn a7_a_free_by_address_knows_whether_there_are_handles() {
    loom::model(|| {
        let (room, handle, bytes) = memory();
        let seen = bytes.clone();
        let user = thread::spawn(move || {
            let view = handle.view().clone();
            drop(handle);
            use_through(view, &seen);
        });
        // Frees as `ManualHeap::free` does, with a reference of its own and a handle if there is one.
        let borrowed = room.clone();
        let another = ManualHandle::another(&borrowed);
        if borrowed.mark_freed(2 + u32::from(another.is_some())).is_ok() {
            bytes.write(DROPPED);
        }
        user.join().unwrap();
    });
}
