//! Typed arrays over stores, made by native code.

use crate::common::{in_own_context, numbered, run};
use offheap_quickjs::offheap::{self, BackingStore, SharedStore, UniqueStore};
use offheap_quickjs::rquickjs::TypedArray;
use offheap_quickjs::{BackingStoreExt, Error, Isolate, RquickjsElement, SharedStoreExt, U8Clamped};

#[test]
fn each_element_type_has_its_array() {
    fn name<T: RquickjsElement>(store: &BackingStore) -> String {
        in_own_context(|ctx| {
            let array: TypedArray<'_, T::Element> = store.expose_typed::<T>(ctx, 8, 2).unwrap();
            let view = BackingStore::externalize_view(ctx, array.as_value()).unwrap();
            assert_eq!((view.element, view.byte_offset), (Some(T::ELEMENT), 8));
            assert_eq!(view.store, store.slice(8..8 + 2 * T::ELEMENT.byte_length()).unwrap());
            assert_eq!(BackingStore::externalize_buffer(ctx, array.as_value()).unwrap(), *store);
            ctx.globals().set("a", array).unwrap();
            ctx.eval("`${a[Symbol.toStringTag]} ${a.byteOffset} ${a.byteLength} ${a.buffer.byteLength}`").unwrap()
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
fn typed_arrays_over_shared_memory_share_the_elements_too() {
    let store = SharedStore::growable(16, 4096).unwrap();
    in_own_context(|ctx| {
        ctx.globals().set("v", store.expose_typed::<i32>(ctx, 4, 3).unwrap()).unwrap();
        run(ctx, "if (!(v.buffer instanceof SharedArrayBuffer)) throw 1; Atomics.store(v, 2, 7)");
    });
    assert_eq!(store.copy_out::<i32>().unwrap(), [0, 0, 0, 7]);
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let view = scope.expose_typed::<i32>(store.as_store(), 12, 1).unwrap();
        scope.set_global("v", &view).unwrap();
        let seen: String = scope.eval("v.buffer.grow(64); String([v.length, v[0], v.buffer.byteLength])").unwrap();
        assert_eq!((seen.as_str(), store.byte_length()), ("1,7,64", 64));
    });
    drop(isolate);
    assert_eq!(store.reference_count(), 1);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_exposed() {
    let store = numbered(32);
    let part = store.slice(8..24).unwrap();
    in_own_context(|ctx| {
        let misaligned = part.expose_typed::<f64>(ctx, 4, 1).unwrap_err();
        assert!(matches!(misaligned, Error::Misaligned { byte_offset: 12, alignment: 8, .. }), "{misaligned}");
        assert!(misaligned.to_string().contains("offset 12"), "{misaligned}");
        for (byte_offset, element_count) in [(0, 5), (16, 1), (20, 0), (4, usize::MAX / 4), (usize::MAX - 3, 1)] {
            let refused = part.expose_typed::<u32>(ctx, byte_offset, element_count).unwrap_err();
            assert!(matches!(refused, Error::Memory(offheap::Error::OutOfRange { .. })), "{refused}");
        }
        let odd = store.slice(4..).unwrap().expose_typed::<u32>(ctx, 0, 1).unwrap_err();
        assert!(matches!(odd, Error::Misaligned { byte_offset: 4, alignment: 8, .. }), "{odd}");
        assert_eq!(store.exposure(), None);
        assert!(part.expose_typed::<u32>(ctx, 16, 0).unwrap().is_empty());
        let resizable = BackingStore::from(UniqueStore::resizable(8, 64).unwrap());
        let first = resizable.expose_typed::<u8>(ctx, 4, 4).unwrap();
        let again = resizable.expose_typed::<u8>(ctx, 0, 4).unwrap_err();
        assert!(matches!(again, Error::Memory(offheap::Error::OneBuffer { .. })), "{again}");
        assert_eq!(first.len(), 4);
    });
    assert_eq!((store.exposure(), store.reference_count()), (None, 2));
}
