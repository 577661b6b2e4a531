//! Memory that a host had: its calls write it after the last buffer went, until the program says that none is pending.

use loom::sync::Arc;
use loom::thread;

use super::{Plain, store, use_through};
use crate::IsolateId;
use crate::isolate::FIRST_HOST;
use crate::raw::access::{AccessWord, Denied};

use crate::raw::{Claim, NotTaken, RawStore};

fn host() -> IsolateId {
    IsolateId::from_bits(FIRST_HOST).expect("not zero")
}

fn isolate() -> IsolateId {
    IsolateId::from_bits(1).expect("not zero")
}

fn claim(store: &RawStore) -> Claim {
    Claim::new(store, host(), || Ok::<_, Denied>(())).expect("nobody else uses it")
}

/// A word and the bytes it is for.
fn guarded() -> Arc<(AccessWord, Arc<Plain>)> {
    Arc::new((AccessWord::new(), Plain::new()))
}

/// A buffer comes and goes. A call of the host, which began in between, writes afterwards.
fn call(store: &(AccessWord, Arc<Plain>)) -> bool {
    let (word, bytes) = store;
    if word.expose(host(), false).is_err() {
        return false;
    }
    word.withdraw();
    bytes.write(7);
    true
}

#[test]
fn host_a_guard_and_a_pending_call_never_meet() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let engine = thread::spawn(move || call(&other));
        let (word, bytes) = &*store;
        match word.begin_read(None) {
            Ok(()) => {
                assert_eq!(bytes.read(), 0);
                word.end_read();
            }
            Err(denied) => assert!(matches!(denied, Denied::Exposed { .. } | Denied::OfHost { .. })),
        }
        if word.begin_write(None).is_ok() {
            bytes.write(1);
            word.end_write();
        }
        let called = engine.join().unwrap();
        assert_eq!(word.begin_write(None).is_err(), called);
    });
}

#[test]
fn host_an_isolate_and_a_pending_call_never_meet() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let engine = thread::spawn(move || call(&other));
        let (word, bytes) = &*store;
        if word.expose(isolate(), false).is_ok() {
            word.begin_write(Some(isolate())).unwrap();
            bytes.write(1);
            word.end_write();
            word.withdraw();
        }
        engine.join().unwrap();
    });
}

#[test]
fn host_memory_is_never_taken_back_under_a_pending_call() {
    loom::model(|| {
        let (store, memory) = store();
        let (buffer, seen) = (claim(&store), memory.clone());
        let engine = thread::spawn(move || {
            drop(buffer);
            seen.write(7);
        });
        let Err((_, store)) = store.into_unique() else { panic!("taken back") };
        engine.join().unwrap();
        let Err((NotTaken::OfHost(_), store)) = store.into_unique() else { panic!("taken back") };
        drop(store);
    });
}

#[test]
fn host_memory_is_freed_by_hand_only_before_or_never() {
    loom::model(|| {
        let store = guarded();
        let other = store.clone();
        let engine = thread::spawn(move || call(&other));
        let freed = store.0.free().is_ok();
        if freed {
            store.1.write(1);
        }
        assert_ne!(engine.join().unwrap(), freed);
    });
}

#[test]
fn host_the_end_of_a_mark_is_seen_by_who_takes_the_memory_back() {
    loom::model(|| {
        let (store, memory) = store();
        let (buffer, seen) = (claim(&store), memory.clone());
        let engine = thread::spawn(move || {
            let handle = buffer.raw().clone();
            drop(buffer);
            // A call of the host, which is done now.
            seen.write(7);
            // SAFETY: no other call is pending.
            unsafe { handle.end_host() }.unwrap();
            use_through(&handle, &seen);
        });
        match store.into_unique() {
            Ok(unique) => {
                memory.write(1);
                drop(unique);
            }
            Err((_, store)) => drop(store),
        }
        engine.join().unwrap();
    });
}
