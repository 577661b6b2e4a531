//! A program's isolate that moves between threads: `v8::SharedIsolate`, which the crate `v8` has since 152.2. So this is a
//! program of its own, and `.ci/v8-150` leaves it out.
#![allow(unsafe_code, reason = "the crate `v8` asks for a promise about what hangs off such an isolate")]

use std::thread;

use offheap_v8::offheap::{self, BackingStore};
use offheap_v8::{BackingStoreExt, v8};

#[path = "all/common.rs"]
#[allow(dead_code, unused_imports, reason = "other tests use the rest")]
mod common;

use common::{counted, run, set, start};

// The adapter keeps such handles in a slot of each isolate, which moves with the isolate.
const _: () = {
    const fn moves_between_threads<T: Send + Sync>() {}
    moves_between_threads::<v8::Global<v8::Context>>();
    moves_between_threads::<v8::Global<v8::Function>>();
};

#[test]
fn stores_move_with_an_isolate_from_thread_to_thread() {
    start();
    let (store, dropped) = counted(vec![1; 16]);
    // The isolate outlives the thread on which it was made.
    let (shared, context) = thread::spawn(|| {
        let mut isolate = v8::Isolate::new(v8::CreateParams::default());
        let context = {
            v8::scope!(let scope, &mut isolate);
            let context = v8::Context::new(scope, v8::ContextOptions::default());
            v8::Global::new(scope, context)
        };
        // SAFETY: I-OWNER-SEND: nothing is attached to the isolate except the adapter's state, which is `Send`.
        (unsafe { isolate.try_into_shared() }.unwrap(), context)
    })
    .join()
    .unwrap();
    let in_scope = |work: &mut (dyn FnMut(&mut v8::PinScope<'_, '_>) + Send)| {
        thread::scope(|threads| {
            let run = || {
                let mut locker = shared.lock();
                v8::scope!(let scope, &mut *locker);
                let context = v8::Local::new(scope, &context);
                let scope = &mut v8::ContextScope::new(scope, context);
                work(scope);
            };
            threads.spawn(run).join().unwrap();
        });
    };
    in_scope(&mut |scope| {
        let buffer = store.expose(scope).unwrap();
        set(scope, "b", buffer.into());
        run(scope, "globalThis.made = new ArrayBuffer(8); new Uint8Array(b)[0] = 2");
    });
    assert!(matches!(store.bytes(), Err(offheap::Error::Exposed { .. })));
    let mut made = None;
    in_scope(&mut |scope| {
        let buffer = run(scope, "b");
        assert_eq!(BackingStore::externalize(scope, buffer).unwrap(), store);
        let buffer = run(scope, "made");
        made = Some(BackingStore::externalize(scope, buffer).unwrap());
        store.cells(scope).unwrap()[1].set(3);
    });
    in_scope(&mut |scope| {
        let buffer = run(scope, "made");
        assert_eq!(BackingStore::externalize(scope, buffer).unwrap(), made.clone().unwrap());
        let buffer = run(scope, "b");
        offheap_v8::detach(scope, buffer, None).unwrap();
    });
    assert_eq!(store.bytes().unwrap()[..3], [2, 3, 1]);
    drop((context, shared));
    assert_eq!(made.unwrap().bytes().unwrap()[..], [0; 8]);
    drop(store);
    assert_eq!(dropped.get(), 1);
}
