//! Typed arrays over stores, made by native code.

use std::sync::mpsc::channel;
use std::thread;

use offheap_v8::offheap::{self, BackingStore, FrozenStore, SharedStore};
use offheap_v8::{BackingStoreExt, Error, ScopeExt, SharedStoreExt, TypedElement, U8Clamped, v8};

use crate::common::{in_own_scope, isolate, numbered, run, set, start};

#[test]
fn each_element_type_has_its_array() {
    fn name<T: TypedElement>(store: &BackingStore) -> String {
        in_own_scope(|scope| {
            let array = store.expose_typed::<T>(scope, 8, 2).unwrap();
            let view = BackingStore::externalize_view(scope, array.into()).unwrap();
            assert_eq!((view.element, view.byte_offset), (Some(T::ELEMENT), 8));
            assert_eq!(view.store, store.slice(8..8 + 2 * T::ELEMENT.byte_length()).unwrap());
            assert_eq!(BackingStore::externalize_buffer(scope, array.into()).unwrap(), *store);
            set(scope, "a", array.into());
            let text = "`${a[Symbol.toStringTag]} ${a.byteOffset} ${a.byteLength} ${a.buffer.byteLength}`";
            run(scope, text).to_rust_string_lossy(scope)
        })
    }
    let store = numbered(32);
    assert_eq!(name::<i8>(&store), "Int8Array 8 2 32");
    assert_eq!(name::<u8>(&store), "Uint8Array 8 2 32");
    assert_eq!(name::<U8Clamped>(&store), "Uint8ClampedArray 8 2 32");
    assert_eq!(name::<i16>(&store), "Int16Array 8 4 32");
    assert_eq!(name::<u16>(&store), "Uint16Array 8 4 32");
    assert_eq!(name::<i32>(&store), "Int32Array 8 8 32");
    assert_eq!(name::<u32>(&store), "Uint32Array 8 8 32");
    assert_eq!(name::<f32>(&store), "Float32Array 8 8 32");
    assert_eq!(name::<f64>(&store), "Float64Array 8 16 32");
    assert_eq!(name::<i64>(&store), "BigInt64Array 8 16 32");
    assert_eq!(name::<u64>(&store), "BigUint64Array 8 16 32");
    assert_eq!(store.exposure(), None);
}

#[test]
fn over_shared_and_frozen_memory_too() {
    let store = SharedStore::zeroed(16).unwrap();
    in_own_scope(|scope| {
        let array = store.expose_typed::<i32>(scope, 4, 3).unwrap();
        set(scope, "v", array.into());
        assert!(run(scope, "Atomics.store(v, 2, 7); v.buffer instanceof SharedArrayBuffer").is_true());
        let frozen = BackingStore::from(FrozenStore::from_owner(&[5_u64; 2][..]).unwrap());
        let array = frozen.expose_typed::<u64>(scope, 8, 1).unwrap();
        set(scope, "w", array.into());
        assert!(run(scope, "w[0] = 6n; w[0] === 5n && w.buffer.immutable").is_true());
    });
    assert_eq!(store.copy_out::<i32>().unwrap(), [0, 0, 0, 7]);
    assert_eq!(store.reference_count(), 1);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_exposed() {
    let store = numbered(32);
    let part = store.slice(8..24).unwrap();
    in_own_scope(|scope| {
        let misaligned = part.expose_typed::<f64>(scope, 4, 1).unwrap_err();
        assert!(matches!(misaligned, Error::Misaligned { byte_offset: 12, alignment: 8, .. }), "{misaligned}");
        for (byte_offset, element_count) in [(0, 5), (16, 1), (20, 0), (4, usize::MAX / 4), (usize::MAX - 3, 1)] {
            let refused = part.expose_typed::<u32>(scope, byte_offset, element_count).unwrap_err();
            assert!(matches!(refused, Error::Memory(offheap::Error::OutOfRange { .. })), "{refused}");
        }
        let odd = store.slice(4..).unwrap().expose_typed::<u32>(scope, 0, 1).unwrap_err();
        assert!(matches!(odd, Error::Misaligned { byte_offset: 4, alignment: 8, .. }), "{odd}");
        assert_eq!(store.exposure(), None);
        assert_eq!(part.expose_typed::<u32>(scope, 16, 0).unwrap().length(), 0);
    });
    assert_eq!((store.exposure(), store.reference_count()), (None, 2));
}

#[test]
fn a_store_that_another_isolate_shortens_meanwhile_is_an_error() {
    start();
    let (send_store, stores) = channel();
    let (shorten, is_asked) = channel();
    let (shortened, is_done) = channel();
    let other = thread::spawn(move || {
        isolate().enter(|scope| {
            let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(64, { maxByteLength: 64 })").unwrap();
            send_store.send(scope.externalize(&buffer).unwrap()).unwrap();
            is_asked.recv().unwrap();
            scope.resize(&buffer, 8).unwrap();
            scope.detach(&buffer, None).unwrap();
            shortened.send(()).unwrap();
        });
    });
    let store: BackingStore = stores.recv().unwrap();
    isolate().enter(|scope| {
        let wait = move || {
            shorten.send(()).unwrap();
            is_done.recv().unwrap();
        };
        let _weak = scope.with_v8(|scope| {
            v8::scope!(let scope, scope);
            let object = v8::Object::new(scope);
            v8::Weak::with_guaranteed_finalizer(scope, object, Box::new(wait))
        });
        // So much that the next step collects, before it exposes anything.
        drop(scope.allocate(257 << 20, None).unwrap());
        let array = scope.expose_typed::<u8>(&store, 0, 64).map(drop);
        assert_eq!(store.byte_length(), 8);
        assert!(matches!(array, Err(Error::Memory(offheap::Error::OutOfRange { .. }))), "{array:?}");
        assert_eq!(store.exposure(), None);
    });
    other.join().unwrap();
}

#[test]
fn script_and_rust_count_in_the_same_elements_at_the_same_time() {
    start();
    let store = SharedStore::zeroed(16).unwrap();
    let script = thread::spawn({
        let store = store.clone();
        move || {
            isolate().enter(|scope| {
                let view = scope.expose_as::<i32>(store.as_store()).unwrap();
                scope.set_global("v", &view).unwrap();
                let count = "for (let i = 0; i < 20000; i++) { Atomics.add(v, 1, 1); Atomics.xor(v, 2, 1) }";
                scope.eval::<()>(count).unwrap();
                // In the lowest byte of the same element, by another size.
                scope.eval::<()>(
                    "const b = new Uint8Array(v.buffer); for (let i = 0; i < 512; i++) Atomics.add(b, 12, 1)",
                )
            })
        }
    });
    let counters = store.atomic_slice::<i32>().unwrap();
    for _ in 0..20_000 {
        counters.fetch_add(1, 1);
        counters.fetch_xor(2, 2);
        counters.fetch_add(3, 0x100);
    }
    script.join().unwrap().unwrap();
    assert_eq!([0, 1, 2, 3].map(|index| counters.load(index)), [0, 40_000, 0, 20_000 << 8]);
}
