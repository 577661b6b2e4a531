//! Access to bytes: guards, and the one isolate that has a store.

use offheap_v8::Error;
use offheap_v8::offheap::{self, Holder};

use crate::common::{isolate, numbered};

#[test]
fn a_writer_keeps_others_away_on_the_same_and_on_another_thread() {
    let store = numbered(64);
    let other = store.clone();
    isolate().enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        let guard = scope.bytes_mut(&buffer).unwrap();
        let here = [other.to_vec().map(drop), other.bytes().map(drop)];
        let there = std::thread::scope(|threads| {
            let (store, mut again) = (&other, other.clone());
            threads.spawn(move || [store.to_vec().map(drop), again.bytes_mut().map(drop)]).join().unwrap()
        });
        for refused in here.into_iter().chain(there) {
            let error = refused.unwrap_err();
            assert!(
                matches!(error, offheap::Error::Busy { holder: Holder::Writer, .. } | offheap::Error::Exposed { .. }),
                "{error}"
            );
        }
        drop(guard);
        assert_eq!(other.to_vec().unwrap()[63], 63);
    });
}

#[test]
fn readers_live_together_and_keep_writers_away() {
    let store = numbered(64);
    isolate().enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        let made = scope.eval_buffer("globalThis.m = new Uint8Array([5, 6, 7])").unwrap();
        let first = scope.bytes(&buffer).unwrap();
        let second = scope.store_bytes(&store).unwrap();
        // The first externalization happens under a guard.
        let third = scope.bytes(&made).unwrap();
        assert_eq!((first[5] + second[6], third[2]), (11, 7));
        assert_eq!(store.to_vec().unwrap()[7], 7);
        assert!(scope.state(&buffer).is_ok());
        drop((first, second, third));
        scope.bytes_mut(&buffer).unwrap()[0] = 200;
        assert_eq!(scope.bytes(&buffer).unwrap()[0], 200);
        let part = store.slice(8..16).unwrap();
        scope.store_bytes_mut(&part).unwrap().fill(1);
        assert_eq!(scope.store_bytes(&store).unwrap()[7..17], [7, 1, 1, 1, 1, 1, 1, 1, 1, 16]);
    });
}

#[test]
fn a_guard_outside_keeps_a_store_from_being_exposed() {
    let store = numbered(64);
    isolate().enter(|scope| {
        let guard = store.bytes().unwrap();
        let error = scope.expose(&store).unwrap_err();
        assert!(matches!(error, Error::Memory(offheap::Error::Busy { .. })), "{error}");
        drop(guard);
        scope.expose(&store).unwrap();
    });
}

#[test]
fn one_isolate_has_a_store_at_a_time() {
    let (mut first, mut second) = (isolate(), isolate());
    let store = numbered(8);
    let buffer = first.enter(|scope| scope.expose(&store).unwrap().into_handle());
    second.enter(|scope| {
        assert!(matches!(scope.expose(&store), Err(Error::Memory(offheap::Error::OtherIsolate { .. }))));
        assert!(matches!(scope.store_bytes(&store), Err(Error::Memory(offheap::Error::OtherIsolate { .. }))));
        assert!(matches!(scope.copy_in(&store, 0, &[1_u8]), Err(Error::Memory(offheap::Error::OtherIsolate { .. }))));
        assert!(matches!(scope.open(buffer.clone()), Err(Error::WrongIsolate { .. })));
    });
    first.enter(|scope| scope.detach(&buffer, None)).unwrap();
    second.enter(|scope| scope.copy_in(&store, 0, &[9_u8]).unwrap());
    assert_eq!(store.bytes().unwrap()[0], 9);
}

#[test]
fn shared_memory_is_never_lent() {
    isolate().enter(|scope| {
        let buffer = scope.eval_buffer("new SharedArrayBuffer(8)").unwrap();
        let error = scope.bytes(&buffer).unwrap_err();
        assert!(matches!(error, Error::Memory(offheap::Error::SharedSlice { .. })), "{error}");
    });
}
