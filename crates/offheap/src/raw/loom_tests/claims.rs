//! Buffers keep a block without a reference. Handles come and go beside them.

use loom::sync::Arc;
use loom::thread;

use super::{DROPPED, Plain, Watched, store, use_through};
use crate::raw::access::Denied;
use crate::raw::{Claim, Memory, RawStore, RawWeak};
use crate::{IsolateId, Site, StoreKind};

fn isolate() -> IsolateId {
    IsolateId::from_bits(1).expect("not zero")
}

fn claim(store: &RawStore) -> Claim {
    Claim::new(store, isolate(), || Ok::<_, Denied>(())).expect("nobody else uses it")
}

fn assert_dropped(memory: &Plain) {
    assert_eq!(memory.read(), DROPPED);
}

#[test]
fn claim_the_last_handle_goes_beside_the_last_buffer() {
    loom::model(|| {
        let (store, memory) = store();
        let (buffer, seen) = (claim(&store), memory.clone());
        let collector = thread::spawn(move || {
            use_through(buffer.raw(), &seen);
            drop(buffer);
        });
        use_through(&store, &memory);
        drop(store);
        collector.join().unwrap();
        assert_dropped(&memory);
    });
}

/// Ends a claim as an engine's finalizer does.
fn end(claim: Claim) {
    if let Err(last) = claim.end_if_kept() {
        drop(last);
    }
}

#[test]
fn claim_the_last_handle_goes_beside_a_buffer_that_ends_if_it_is_kept() {
    loom::model(|| {
        let (store, memory) = store();
        let (buffer, seen) = (claim(&store), memory.clone());
        let collector = thread::spawn(move || {
            use_through(buffer.raw(), &seen);
            end(buffer);
        });
        use_through(&store, &memory);
        drop(store);
        collector.join().unwrap();
        assert_dropped(&memory);
    });
}

#[test]
fn claim_two_buffers_that_nothing_else_keeps_end_at_once() {
    loom::model(|| {
        let (store, memory) = store();
        let buffers = [claim(&store), claim(&store)];
        drop(store);
        let threads = buffers.map(|buffer| {
            let seen = memory.clone();
            thread::spawn(move || {
                use_through(buffer.raw(), &seen);
                end(buffer);
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_dropped(&memory);
    });
}

#[test]
fn claim_a_buffer_gives_a_handle_while_the_last_one_goes() {
    loom::model(|| {
        let (store, memory) = store();
        let (buffer, seen) = (claim(&store), memory.clone());
        let engine = thread::spawn(move || {
            let handle = buffer.raw().clone();
            drop(buffer);
            use_through(&handle, &seen);
        });
        use_through(&store, &memory);
        drop(store);
        engine.join().unwrap();
        assert_dropped(&memory);
    });
}

#[test]
fn claim_two_buffers_give_handles_on_two_threads() {
    loom::model(|| {
        let (store, memory) = store();
        let buffers = [claim(&store), claim(&store)];
        drop(store);
        let threads = buffers.map(|buffer| {
            let seen = memory.clone();
            thread::spawn(move || {
                let handle = buffer.raw().clone();
                drop(buffer);
                use_through(&handle, &seen);
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_dropped(&memory);
    });
}

#[test]
fn claim_a_weak_handle_finds_the_store_while_a_buffer_goes_or_never() {
    loom::model(|| {
        let (store, memory) = store();
        let (buffer, weak, seen) = (claim(&store), store.downgrade(), memory.clone());
        drop(store);
        let collector = thread::spawn(move || drop(buffer));
        if let Some(store) = weak.upgrade() {
            use_through(&store, &seen);
        }
        drop(weak);
        collector.join().unwrap();
        assert_dropped(&memory);
    });
}

#[test]
fn claim_a_weak_handle_finds_the_store_while_a_handle_goes_beside_a_buffer() {
    loom::model(|| {
        let (store, memory) = store();
        let (buffer, weak, seen) = (claim(&store), store.downgrade(), memory.clone());
        let other = thread::spawn(move || {
            let found = weak.upgrade().expect("the buffer keeps it");
            use_through(&found, &seen);
        });
        drop(store);
        other.join().unwrap();
        use_through(buffer.raw(), &memory);
        drop(buffer);
        assert_dropped(&memory);
    });
}

#[test]
fn claim_two_weak_handles_find_the_store_of_a_buffer_at_once() {
    loom::model(|| {
        let (store, memory) = store();
        let buffer = claim(&store);
        let (weak, other, seen) = (store.downgrade(), store.downgrade(), memory.clone());
        drop(store);
        let other = thread::spawn(move || {
            let found = other.upgrade().expect("the buffer keeps it");
            use_through(&found, &seen);
        });
        drop(weak.upgrade().expect("the buffer keeps it"));
        drop(weak);
        other.join().unwrap();
        drop(buffer);
        assert_dropped(&memory);
    });
}

#[test]
fn claim_a_store_is_taken_back_while_its_buffer_gives_a_handle_or_never() {
    loom::model(|| {
        let (store, memory) = store();
        let (buffer, seen) = (claim(&store), memory.clone());
        let engine = thread::spawn(move || {
            let handle = buffer.raw().clone();
            drop(buffer);
            use_through(&handle, &seen);
        });
        match store.into_unique() {
            Ok(unique) => {
                // As a writer would, which no other reference may see.
                memory.write(7);
                assert_eq!((unique.reference_count(), unique.exposure()), (1, None));
                drop(unique);
            }
            Err((_, store)) => use_through(&store, &memory),
        }
        engine.join().unwrap();
        assert_dropped(&memory);
    });
}

#[test]
fn claim_a_store_is_taken_back_beside_a_weak_handle_after_its_buffer_went() {
    loom::model(|| {
        let (store, memory) = store();
        let (buffer, weak, seen) = (claim(&store), store.downgrade(), memory.clone());
        let other = thread::spawn(move || {
            drop(buffer);
            if let Some(store) = weak.upgrade() {
                use_through(&store, &seen);
            }
        });
        match store.into_unique() {
            Ok(unique) => {
                memory.write(7);
                drop(unique);
            }
            Err((_, store)) => drop(store),
        }
        other.join().unwrap();
        assert_dropped(&memory);
    });
}

fn new_claim() -> (Claim, Arc<Plain>) {
    let memory = Plain::new();
    let none = |_: &mut Watched| Memory { data: std::ptr::NonNull::dangling(), byte_length: 0 };
    let Ok(raw) = RawStore::untold(Watched(memory.clone()), StoreKind::FIXED, Site::here(), none) else {
        panic!("out of memory")
    };
    (Claim::of_new(raw, isolate()), memory)
}

#[test]
fn claim_of_a_new_block_goes_beside_the_handle_that_it_gave() {
    loom::model(|| {
        let (buffer, memory) = new_claim();
        let (handle, seen) = (buffer.raw().clone(), memory.clone());
        let other = thread::spawn(move || {
            use_through(&handle, &seen);
            drop(handle);
        });
        drop(buffer);
        other.join().unwrap();
        assert_dropped(&memory);
    });
}

#[test]
fn claim_of_a_new_block_becomes_shared_only_without_other_references() {
    loom::model(|| {
        let (buffer, memory) = new_claim();
        let (handle, seen) = (buffer.raw().clone(), memory.clone());
        let other = thread::spawn(move || {
            assert_eq!(handle.kind(), StoreKind::FIXED);
            use_through(&handle, &seen);
        });
        match buffer.into_shared() {
            Ok(shared) => {
                // The kind of a block is not atomic, so no other reference may have looked at it later.
                assert_eq!(shared.raw().kind(), StoreKind::SHARED);
                memory.write(7);
            }
            Err(buffer) => drop(buffer),
        }
        other.join().unwrap();
        assert_dropped(&memory);
    });
}

/// A store over memory of an engine, which has its own buffer over it.
fn engines() -> (RawStore, RawWeak, Arc<Plain>) {
    let memory = Plain::new();
    let none = |_: &mut Watched| Memory { data: std::ptr::NonNull::dangling(), byte_length: 0 };
    let Ok(mut raw) = RawStore::untold(Watched(memory.clone()), StoreKind::FIXED, Site::here(), none) else {
        panic!("out of memory")
    };
    let weak = raw.expose_to_engine(isolate());
    (raw, weak, memory)
}

#[test]
fn claim_of_an_engine_ends_while_the_last_handle_goes() {
    loom::model(|| {
        let (store, weak, memory) = engines();
        let seen = memory.clone();
        let other = thread::spawn(move || {
            use_through(&store, &seen);
            drop(store);
        });
        if let Some(found) = weak.upgrade() {
            // SAFETY: I-BORROW: there is no engine.
            drop(unsafe { Claim::of_engine(&found) });
            assert_eq!(found.exposure(), None);
        }
        other.join().unwrap();
        assert_dropped(&memory);
    });
}

#[test]
fn claim_of_an_engine_ends_on_two_threads_and_once() {
    loom::model(|| {
        let (store, weak, memory) = engines();
        let end = |found: &RawStore| {
            // SAFETY: I-BORROW: there is no engine.
            let claim = unsafe { Claim::of_engine(found) };
            usize::from(claim.is_some())
        };
        let other = thread::spawn(move || weak.upgrade().map_or(0, |found| end(&found)));
        let ended = end(&store);
        assert_eq!(ended + other.join().unwrap(), 1);
        assert_eq!(store.exposure(), None);
        drop(store);
        assert_dropped(&memory);
    });
}

#[test]
fn claim_of_an_engine_does_not_keep_a_store_from_a_weak_handle() {
    loom::model(|| {
        let (store, weak, memory) = engines();
        let seen = memory.clone();
        let other = thread::spawn(move || drop(store));
        if let Some(found) = weak.upgrade() {
            use_through(&found, &seen);
        }
        other.join().unwrap();
        assert!(weak.upgrade().is_none());
        assert_dropped(&memory);
    });
}
