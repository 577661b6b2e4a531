//! Taking the memory of a buffer alone.

use std::thread;

use offheap_v8::offheap::{self, BackingStore, ManualMemory, NotUnique, SharedStore, UniqueStore};
use offheap_v8::{BackingStoreExt, Error, Isolate, ScopeExt, SharedStoreExt, UniqueStoreExt, detach, v8};

use crate::common::{counted, in_own_scope, isolate, numbered, run, set, start};

/// Calls `work` in a scope of the program's own, whose buffers are V8's, and in isolates with our allocator and V8's.
fn in_all(work: impl Fn(&mut v8::PinScope<'_, '_>)) {
    in_own_scope(|scope| work(scope));
    isolate().enter(|scope| scope.with_v8(|scope| work(scope)));
    start();
    Isolate::builder().v8_allocator().build().unwrap().enter(|scope| scope.with_v8(|scope| work(scope)));
}

#[test]
fn memory_that_script_made_becomes_native_codes_alone() {
    in_all(|scope| {
        for source in ["v", "v.buffer", "new DataView(v.buffer)"] {
            for externalized_before in [false, true] {
                run(scope, "globalThis.v = new Uint8Array([1, 2, 3])");
                let value = run(scope, source);
                let address = match externalized_before {
                    true => Some(BackingStore::externalize(scope, value).unwrap().as_ptr().addr()),
                    false => None,
                };
                let mut store = UniqueStore::take(scope, value, None).unwrap();
                assert_eq!(store[..], [1, 2, 3], "{source}");
                assert!(address.is_none_or(|address| address == store.as_ptr().addr()), "it stays where it is");
                assert!(run(scope, "v.length === 0 && v.buffer.detached").is_true());
                let store = thread::spawn(move || {
                    store[0] = 7;
                    store
                });
                let store = store.join().unwrap();
                assert_eq!(store[..], [7, 2, 3], "{source}");
                assert!(matches!(UniqueStore::take(scope, value, None), Err(Error::Detached { .. })), "{source}");
                // It may go to script again.
                let again = BackingStore::from(store).expose(scope).unwrap();
                set(scope, "again", again.into());
                assert_eq!(run(scope, "new Uint8Array(again)[0]").uint32_value(scope), Some(7));
                let back = UniqueStore::take(scope, again.into(), None).unwrap();
                assert_eq!(back[..], [7, 2, 3]);
            }
        }
    });
}

#[test]
fn a_vec_goes_to_script_and_comes_back_in_one_step() {
    in_all(|scope| {
        let vec = vec![1.0_f32, 2.0];
        let address = vec.as_ptr();
        let buffer = BackingStore::from_owner(vec).unwrap().expose(scope).unwrap();
        set(scope, "b", buffer.into());
        let array = run(scope, "globalThis.v = new Float32Array(b); v[1] = 4; v");
        let vec: Vec<f32> = UniqueStore::take(scope, array, None).unwrap().try_into_owner().unwrap();
        assert_eq!((vec.as_ptr(), &vec[..]), (address, &[1.0, 4.0][..]));
        // Its memory was freed by nobody else.
        let (store, drops) = counted(vec![1, 2]);
        let buffer = store.expose(scope).unwrap();
        drop(store);
        let taken = UniqueStore::take(scope, buffer.into(), None).unwrap();
        assert_eq!(drops.get(), 0);
        drop(taken);
        assert_eq!(drops.get(), 1);
    });
}

#[test]
fn an_empty_buffer_is_taken_and_detached() {
    in_all(|scope| {
        let value = run(scope, "globalThis.b = new ArrayBuffer(0); b");
        assert!(UniqueStore::take(scope, value, None).unwrap().is_empty());
        assert!(run(scope, "b.detached").is_true());
    });
}

/// Expects an error, and that script's `b` is as it was.
#[track_caller]
fn refused<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>, is_it: impl Fn(&Error) -> bool) {
    let error = UniqueStore::take(scope, value, None).unwrap_err();
    assert!(is_it(&error), "{error}");
    assert!(run(scope, "!b.detached && String(new Uint8Array(b)) === '1,2,3,4,5,6,7,8'").is_true(), "{error}");
}

fn is_not_unique(error: &Error, is_it: impl Fn(&NotUnique) -> bool) -> bool {
    matches!(error, Error::Memory(offheap::Error::NotUnique { reason, .. }) if is_it(reason))
}

const MAKE: &str = "globalThis.b = new ArrayBuffer(8); new Uint8Array(b).set([1, 2, 3, 4, 5, 6, 7, 8]); b";

#[test]
fn what_others_have_is_refused_and_nothing_is_detached() {
    in_all(|scope| {
        let buffer = run(scope, MAKE);
        // A view of a part.
        let part = run(scope, "new Uint8Array(b, 1)");
        refused(scope, part, |error| matches!(error, Error::Unsupported { .. }));
        // Another reference, of any sort.
        let store = BackingStore::externalize(scope, buffer).unwrap();
        refused(scope, buffer, |error| {
            is_not_unique(error, |reason| matches!(reason, NotUnique::Exposed { buffers: 1, others: 1, .. }))
        });
        let weak = store.downgrade();
        drop(store);
        refused(scope, buffer, |error| {
            is_not_unique(error, |reason| matches!(reason, NotUnique::Exposed { others: 1, .. }))
        });
        drop(weak);
        // V8's own block, held by the program.
        let block = v8::Local::<v8::ArrayBuffer>::try_from(buffer).unwrap().get_backing_store();
        refused(scope, buffer, |error| matches!(error, Error::NotLent { .. }));
        drop(block);
        // A wrong key.
        let error = UniqueStore::take(scope, buffer, Some("key")).unwrap_err();
        assert!(matches!(error, Error::WrongDetachKey { .. }), "{error}");
        refused(scope, part, |error| matches!(error, Error::Unsupported { .. }));
        UniqueStore::take(scope, buffer, None).unwrap();
        // Another buffer over the same store.
        let store = numbered(8);
        let (first, second) = (store.expose(scope).unwrap(), store.expose(scope).unwrap());
        drop(store);
        let error = UniqueStore::take(scope, first.into(), None).unwrap_err();
        assert!(is_not_unique(&error, |reason| matches!(reason, NotUnique::Exposed { buffers: 2, .. })), "{error}");
        assert!(!first.was_detached());
        detach(scope, second.into(), None).unwrap();
        assert_eq!(UniqueStore::take(scope, first.into(), None).unwrap()[7], 7);
    });
}

#[test]
fn memory_that_cannot_be_taken_says_why() {
    let bytes = [1_u8, 2, 3, 4, 5, 6, 7, 8];
    in_all(|scope| {
        let shared = SharedStore::from_owner(bytes.to_vec()).unwrap().expose(scope).unwrap();
        set(scope, "b", shared.into());
        refused(scope, shared.into(), |error| matches!(error, Error::NotDetachable { .. }));
        for (source, is_it) in [
            ("new SharedArrayBuffer(8)", (|error| matches!(error, Error::NotDetachable { .. })) as fn(&Error) -> bool),
            ("new ArrayBuffer(8, { maxByteLength: 16 })", |error| {
                is_not_unique(error, |reason| *reason == NotUnique::Kind)
            }),
        ] {
            let source = format!("globalThis.b = {source}; new Uint8Array(b).set([1, 2, 3, 4, 5, 6, 7, 8]); b");
            let value = run(scope, &source);
            refused(scope, value, is_it);
        }
        let immutable = run(scope, &format!("{MAKE}; globalThis.b = b.transferToImmutable()"));
        refused(scope, immutable, |error| matches!(error, Error::Immutable { .. }));
        let manual = ManualMemory::allocate(8).unwrap();
        manual.store().copy_in(scope, 0, &bytes).unwrap();
        let buffer = manual.store().expose(scope).unwrap();
        set(scope, "b", buffer.into());
        refused(scope, buffer.into(), |error| is_not_unique(error, |reason| *reason == NotUnique::Kind));
        let part = BackingStore::from_owner([[0; 8], bytes].concat()).unwrap().slice(8..).unwrap();
        let buffer = part.expose(scope).unwrap();
        drop(part);
        set(scope, "b", buffer.into());
        refused(scope, buffer.into(), |error| is_not_unique(error, |reason| *reason == NotUnique::SubStore));
        let number = run(scope, "1");
        assert!(matches!(UniqueStore::take(scope, number, None), Err(Error::NotAnArrayBuffer { .. })));
    });
}

#[test]
fn webassembly_memory_is_not_taken() {
    in_all(|scope| {
        let wasm = run(scope, "globalThis.memory = new WebAssembly.Memory({ initial: 1 }); memory.buffer");
        let error = UniqueStore::take(scope, wasm, None).unwrap_err();
        assert!(is_not_unique(&error, |reason| *reason == NotUnique::Kind), "{error}");
        assert!(run(scope, "!memory.buffer.detached").is_true());
    });
}

#[test]
fn memory_that_was_taken_outlives_its_isolate() {
    for v8_allocator in [false, true] {
        start();
        let builder = Isolate::builder();
        let mut isolate = if v8_allocator { builder.v8_allocator() } else { builder }.build().unwrap();
        let taken = isolate.enter(|scope| {
            let buffer = scope.eval_buffer("new Uint8Array(4096).fill(5).buffer").unwrap();
            scope.take(&buffer, None).unwrap()
        });
        drop(isolate);
        assert!(taken.iter().all(|&byte| byte == 5));
    }
}
