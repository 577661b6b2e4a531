//! Models of the reference count and the access word, which loom runs in every order that the memory model allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p offheap --lib --release`
//!
//! Whether two threads meet is not seen by results alone: the memory of a model is a [`Plain`] cell, whose uses loom
//! checks as a race detector would, and control blocks come from loom's allocator, which counts what is left over.

mod growth;
mod shared;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::ptr::NonNull;

use super::{Memory, Owner, RawStore, RawWeak, Sole};
use crate::access::{AccessWord, Denied};
use crate::{Holder, IsolateId, Site, StoreKind};

/// What stands for the bytes of a store.
struct Plain(UnsafeCell<u32>);

// SAFETY: that no two threads use it at once is what the models show; loom fails where they do.
unsafe impl Send for Plain {}
// SAFETY: as above.
unsafe impl Sync for Plain {}

impl Plain {
    fn new() -> Arc<Plain> {
        Arc::new(Plain(UnsafeCell::new(0)))
    }

    fn read(&self) -> u32 {
        // SAFETY: the cell lives; that nobody writes it is what loom checks.
        self.0.with(|value| unsafe { *value })
    }

    fn write(&self, written: u32) {
        // SAFETY: the cell lives; that nobody else uses it is what loom checks.
        self.0.with_mut(|value| unsafe { *value = written })
    }
}

/// An owner that writes its memory when it is dropped, which is a race unless every use has ended before.
struct Watched(Arc<Plain>);

/// What the memory is when its owner was dropped.
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
    let Ok(store) = RawStore::new(Watched(memory.clone()), StoreKind::Fixed, Site::here(), none) else {
        panic!("out of memory")
    };
    (store, memory)
}

fn isolate(bits: u16) -> IsolateId {
    IsolateId::from_bits(bits).expect("not zero")
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
fn sole_an_upgrade_finds_the_store_before_it_is_taken_or_never() {
    loom::model(|| {
        let (store, memory) = store();
        let (weak, seen) = (store.downgrade(), memory.clone());
        let other = thread::spawn(move || match weak.upgrade() {
            Some(store) => use_through(&store, &seen),
            None => drop(weak.clone()),
        });
        match store.into_sole() {
            Ok(sole) => {
                // As a writer would, which no other reference may see.
                memory.write(7);
                assert_eq!(sole.strong_count(), 1);
                drop(sole);
            }
            Err((count, store)) => {
                assert_eq!(count, Some(2));
                drop(store);
            }
        }
        other.join().unwrap();
        assert_eq!(memory.read(), DROPPED);
    });
}

#[test]
fn sole_everything_done_through_the_other_reference_comes_first() {
    loom::model(|| {
        let (store, memory) = store();
        let (clone, seen) = (store.clone(), memory.clone());
        let other = thread::spawn(move || {
            use_through(&clone, &seen);
            drop(clone);
        });
        match Sole::from_raw(store) {
            Ok(sole) => {
                memory.write(7);
                drop(sole.into_raw());
            }
            Err((count, store)) => {
                assert_eq!(count, Some(2));
                drop(store);
            }
        }
        other.join().unwrap();
        assert_eq!(memory.read(), DROPPED);
    });
}

#[test]
fn sole_the_owner_comes_back_whole_while_a_weak_handle_goes() {
    loom::model(|| {
        let (store, memory) = store();
        let weak = store.downgrade();
        let other = thread::spawn(move || drop(weak));
        let Ok(sole) = Sole::from_raw(store) else { panic!("no other reference") };
        let Ok(owner) = sole.try_into_owner::<Watched>() else { panic!("another type") };
        assert_eq!(memory.read(), 0, "not dropped");
        drop(owner);
        other.join().unwrap();
        assert_eq!(memory.read(), DROPPED);
    });
}

/// A word and the bytes it is for.
struct Guarded {
    word: AccessWord,
    bytes: Arc<Plain>,
}

fn guarded() -> Arc<Guarded> {
    Arc::new(Guarded { word: AccessWord::new(), bytes: Plain::new() })
}

impl Guarded {
    fn read(&self, scope: Option<IsolateId>) -> Result<u32, Denied> {
        self.word.begin_read(scope)?;
        let value = self.bytes.read();
        self.word.end_read();
        Ok(value)
    }

    fn write(&self, scope: Option<IsolateId>, value: u32) -> Result<(), Denied> {
        self.word.begin_write(scope)?;
        self.bytes.write(value);
        self.word.end_write();
        Ok(())
    }

    /// A copy while nobody runs script reads plainly here, so that loom sees whom the word lets in.
    fn copy(&self) -> Result<u32, Denied> {
        self.word.begin_copy()?;
        let value = self.bytes.read();
        self.word.end_copy();
        Ok(value)
    }

    /// An engine that writes while it has the store.
    fn run(&self, id: IsolateId) -> Result<(), Denied> {
        self.word.expose(id, false)?;
        self.bytes.write(u32::from(id.bits()));
        self.word.withdraw();
        Ok(())
    }
}

#[test]
fn access_a_reader_and_a_writer_never_meet() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let writer = thread::spawn(move || other.write(None, 1));
        let read = store.read(None);
        let written = writer.join().unwrap();
        assert!(read.is_ok() || written.is_ok(), "one goes first");
        match read {
            Ok(value) => assert!(value <= 1),
            Err(denied) => assert_eq!(denied, Denied::Busy(Holder::Writer)),
        }
    });
}

#[test]
fn access_two_writers_never_meet() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let writer = thread::spawn(move || other.write(None, 1));
        let second = store.write(None, 2);
        let first = writer.join().unwrap();
        assert!(first.is_ok() || second.is_ok());
        store.read(None).unwrap();
    });
}

#[test]
fn access_a_copy_and_a_writer_never_meet() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let writer = thread::spawn(move || other.write(None, 1));
        let copied = store.copy();
        assert!(writer.join().unwrap().is_ok() || copied.is_ok());
    });
}

#[test]
fn access_two_readers_and_a_writer() {
    loom::model(|| {
        let store = guarded();
        let others = [0; 2].map(|_| {
            let other = store.clone();
            thread::spawn(move || other.read(None).is_ok())
        });
        let written = store.write(None, 1).is_ok();
        let read = others.map(|other| other.join().unwrap());
        assert!(written || read[0] || read[1]);
        assert_eq!(store.read(None), Ok(u32::from(written)));
    });
}

#[test]
fn exposure_a_guard_outside_and_script_never_meet() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let engine = thread::spawn(move || other.run(isolate(1)));
        let read = store.read(None);
        let ran = engine.join().unwrap();
        assert!(read.is_ok() || ran.is_ok());
        match read {
            Ok(value) => assert!(value <= 1),
            Err(denied) => assert_eq!(denied, Denied::Exposed { isolate: isolate(1), buffers: 1 }),
        }
        assert_eq!(store.word.exposure(), None);
    });
}

#[test]
fn exposure_two_isolates_never_meet() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let engine = thread::spawn(move || other.run(isolate(1)));
        let second = store.run(isolate(2));
        let first = engine.join().unwrap();
        assert!(first.is_ok() || second.is_ok());
        store.write(None, 3).unwrap();
    });
}

#[test]
fn exposure_a_guard_of_one_isolate_and_script_of_another_never_meet() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let engine = thread::spawn(move || other.run(isolate(2)));
        let written = store.write(Some(isolate(1)), 7);
        let ran = engine.join().unwrap();
        assert!(written.is_ok() || ran.is_ok());
    });
}

#[test]
fn exposure_two_buffers_go_on_two_threads_and_the_store_is_free() {
    loom::model(|| {
        let store = guarded();
        store.word.expose(isolate(1), false).unwrap();
        store.word.expose(isolate(1), false).unwrap();
        let other = store.clone();
        let collector = thread::spawn(move || {
            // As a sweeper, after script wrote.
            other.word.withdraw();
        });
        store.bytes.write(5);
        store.word.withdraw();
        if store.word.exposure().is_none() {
            assert_eq!(store.read(None), Ok(5));
        }
        collector.join().unwrap();
        assert_eq!(store.read(None), Ok(5));
    });
}

#[test]
fn free_waits_for_no_copy_and_meets_none() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let copy = thread::spawn(move || other.copy());
        let freed = store.word.free();
        if freed.is_ok() {
            // The memory goes back.
            store.bytes.write(DROPPED);
        }
        let copied = copy.join().unwrap();
        assert_ne!(copied, Ok(DROPPED), "copied what was freed");
        match (freed, copied) {
            (Ok(()), Ok(_)) | (Ok(()), Err(Denied::Freed)) => {}
            (Err(Denied::Busy(Holder::Readers(1))), Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn free_and_expose_exclude_each_other() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let engine = thread::spawn(move || other.run(isolate(1)));
        let freed = store.word.free();
        if freed.is_ok() {
            store.bytes.write(DROPPED);
        }
        let ran = engine.join().unwrap();
        match (freed, ran) {
            (Ok(()), Ok(()) | Err(Denied::Freed)) | (Err(Denied::Exposed { buffers: 1, .. }), Ok(())) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn free_happens_once() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let second = thread::spawn(move || {
            let freed = other.word.free();
            if freed.is_ok() {
                other.bytes.write(DROPPED);
            }
            freed
        });
        let first = store.word.free();
        if first.is_ok() {
            store.bytes.write(DROPPED);
        }
        let second = second.join().unwrap();
        assert!(matches!((first, second), (Ok(()), Err(Denied::Freed)) | (Err(Denied::Freed), Ok(()))));
    });
}
