//! Detaching is an error in the cases where V8 would end the process (pitfalls F13, F14).

use offheap_v8::offheap::{BackingStore, FrozenStore, SharedStore};
use offheap_v8::{BackingStoreExt, Error, SharedStoreExt, detach};

use crate::common::{counted, in_own_scope, isolate, numbered, run};

/// A WebAssembly memory of one page.
const MEMORY: &str = "globalThis.memory = new WebAssembly.Memory({ initial: 1, maximum: 4 }); memory.buffer";

#[test]
fn shared_and_wasm_buffers_are_refused() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        for source in ["new SharedArrayBuffer(8)", MEMORY, "new Uint8Array(memory.buffer, 4, 4)"] {
            let buffer = scope.eval_buffer(source).unwrap();
            for key in [None, Some("key")] {
                let error = scope.detach(&buffer, key).unwrap_err();
                assert!(matches!(error, Error::NotDetachable { .. }), "{source}: {error}");
            }
            let error = scope.transfer(&buffer, None).unwrap_err();
            assert!(matches!(error, Error::NotDetachable { .. }), "{source}: {error}");
            assert!(!scope.state(&buffer).unwrap().detached);
        }
    });
    in_own_scope(|scope| {
        let buffer = SharedStore::zeroed(8).unwrap().expose(scope).unwrap();
        assert!(matches!(detach(scope, buffer.into(), None), Err(Error::NotDetachable { .. })));
    });
}

#[test]
fn immutable_buffers_are_refused_and_collected() {
    let mut isolate = isolate();
    let store = FrozenStore::from_owner(std::sync::Arc::<[u64]>::from([1, 2])).unwrap();
    isolate.enter(|scope| {
        let (buffer, exposure) = scope.expose_or_copy(&store.clone().into()).unwrap();
        assert!(exposure.is_external());
        assert!(matches!(scope.detach(&buffer, None), Err(Error::Immutable { .. })));
        assert!(matches!(scope.bytes_mut(&buffer), Err(Error::Immutable { .. })));
        assert_eq!(scope.bytes(&buffer).unwrap()[8], 2);
        assert!(store.reference_count() > 1);
        drop(buffer);
        scope.collect();
        assert_eq!(store.reference_count(), 1);
    });
}

#[test]
fn immutable_buffers_are_refused_whatever_the_key() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let store = FrozenStore::from_owner(&[7_u64; 4][..]).unwrap();
        let (buffer, _) = scope.expose_or_copy(&store.clone().into()).unwrap();
        // For V8, a buffer without bytes is not immutable.
        let empty = FrozenStore::from_owner(&[0_u64; 0][..]).unwrap();
        let (empty, _) = scope.expose_or_copy(&empty.clone().into()).unwrap();
        for buffer in [buffer, empty] {
            for is_set in [Some("key"), None] {
                scope.set_detach_key(&buffer, is_set).unwrap();
                for key in [None, Some("another"), Some("key")] {
                    assert!(matches!(scope.detach(&buffer, key), Err(Error::Immutable { .. })));
                }
            }
        }
    });
}

#[test]
fn keys_are_v8s_own() {
    let mut isolate = isolate();
    let (store, dropped) = counted(vec![1; 8]);
    isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("b", &buffer).unwrap();
        scope.set_detach_key(&buffer, Some("only we")).unwrap();
        assert!(matches!(scope.detach(&buffer, None), Err(Error::WrongDetachKey { given: "no key was given", .. })));
        assert!(matches!(
            scope.detach(&buffer, Some("others")),
            Err(Error::WrongDetachKey { given: "another was given, or it has none", .. })
        ));
        assert!(matches!(scope.transfer(&buffer, None), Err(Error::WrongDetachKey { .. })));
        let error = scope.eval::<()>("b.transfer()").unwrap_err().to_string();
        assert!(error.contains("TypeError"), "{error}");
        assert_eq!(store.exposure().unwrap().1, 1);
        scope.detach(&buffer, Some("only we")).unwrap();
        assert!(scope.state(&buffer).unwrap().detached);
        // Detaching again changes nothing, but V8 compares the key of a detached buffer, too.
        scope.detach(&buffer, Some("only we")).unwrap();
    });
    drop(store);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn script_that_replaces_everything_changes_nothing() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        scope
            .eval::<()>(
                "for (const name of Object.getOwnPropertyNames(ArrayBuffer.prototype)) {
                   delete ArrayBuffer.prototype[name];
                 }
                 globalThis.ArrayBuffer = globalThis.Uint8Array = function () { throw new Error('ours') };
                 Object.prototype.maxByteLength = 1; Function.prototype.call = null; undefined",
            )
            .unwrap();
        let store = numbered(16);
        let buffer = scope.expose(&store).unwrap();
        let moved = scope.transfer(&buffer, None).unwrap();
        assert_eq!(scope.externalize(&moved).unwrap(), store);
        let longer = scope.transfer(&moved, Some(32)).unwrap();
        assert_eq!(scope.state(&longer).unwrap().byte_length, 32);
        assert_eq!(scope.bytes(&longer).unwrap()[15], 15);
        let frozen = FrozenStore::from_owner(&[7_u64; 4][..]).unwrap();
        assert!(scope.expose_or_copy(&frozen.clone().into()).unwrap().1.is_external());
    });
}

#[test]
fn a_transferred_buffer_is_one_of_its_context() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let buffer = scope.expose(&numbered(8)).unwrap();
        let moved = scope.transfer(&buffer, Some(4)).unwrap();
        scope.set_global("moved", &moved).unwrap();
        let frozen = FrozenStore::from_owner(&[7_u64; 4][..]).unwrap();
        let (frozen, _) = scope.expose_or_copy(&frozen.clone().into()).unwrap();
        scope.set_global("frozen", &frozen).unwrap();
        assert!(scope.eval::<bool>("moved instanceof ArrayBuffer && frozen instanceof ArrayBuffer").unwrap());
    });
    in_own_scope(|scope| {
        let frozen = BackingStore::from(FrozenStore::from_owner(&[7_u64; 4][..]).unwrap()).expose(scope).unwrap();
        crate::common::set(scope, "frozen", frozen.into());
        assert!(run(scope, "frozen instanceof ArrayBuffer && frozen.immutable").is_true());
    });
}
