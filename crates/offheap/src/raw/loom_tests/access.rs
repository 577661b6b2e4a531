//! The access word: which users exclude each other.

use loom::sync::Arc;
use loom::thread;

use super::{DROPPED, Plain};
use crate::raw::access::{AccessWord, Denied};
use crate::{Holder, IsolateId};

fn isolate(bits: u16) -> IsolateId {
    IsolateId::from_bits(bits).expect("not zero")
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

    /// A copy while no script runs. It reads plainly here, so that loom sees which users the word lets in.
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
            let _ = other.word.withdraw();
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
            // The owner is dropped.
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
