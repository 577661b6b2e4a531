//! Views give the part that they show, with its type, whatever script did to their properties.

use offheap_conformance::views::{DETACHED, LIES, MAKERS, OUT_OF_BOUNDS, SHOWN};
use offheap_v8::offheap::{self, BackingStore, SharedStore};
use offheap_v8::{BackingStoreExt, Element, Error, JsArrayBufferView, Local, ScopeExt, copy_of, detach, v8};

use crate::common::{in_own_scope, isolate, numbered, run, set};

/// Calls `work` in a program's own scope and in that of an isolate.
fn in_both(work: impl Fn(&mut v8::PinScope<'_, '_>)) {
    let prepare = |scope: &mut v8::PinScope<'_, '_>| {
        run(scope, MAKERS);
        run(scope, LIES);
    };
    in_own_scope(|scope| {
        prepare(scope);
        work(scope);
    });
    isolate().enter(|scope| {
        scope.with_v8(|scope| {
            prepare(scope);
            work(scope);
        });
    });
}

/// The bytes of a store on the thread of its isolate.
fn bytes_of(scope: &v8::PinScope<'_, '_>, store: &BackingStore) -> Vec<u8> {
    let mut bytes = vec![0; store.byte_length()];
    store.copy_to(scope, 0, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_view_gives_the_part_that_it_shows() {
    in_both(|scope| {
        for &(source, element, byte_offset, bytes) in SHOWN {
            let value = run(scope, source);
            let view = BackingStore::externalize_view(scope, value).unwrap_or_else(|error| panic!("{source}: {error}"));
            assert_eq!((view.element, view.byte_offset), (element, byte_offset), "{source}");
            assert_eq!(bytes_of(scope, &view.store), bytes, "{source}");
            assert_eq!(BackingStore::externalize(scope, value).unwrap(), view.store, "{source}");
            assert_eq!(copy_of::<u8>(scope, value).unwrap(), bytes, "{source}");
            match copy_of::<u16>(scope, value) {
                Ok(pairs) => assert_eq!(bytemuck::cast_slice::<_, u8>(&pairs), bytes, "{source}"),
                Err(error) => {
                    assert!(matches!(error, Error::PartialElement { element: "u16", .. }), "{source}: {error}");
                    assert_eq!(bytes.len() % 2, 1, "{source}");
                }
            }
            let whole = BackingStore::externalize_buffer(scope, value).unwrap();
            assert_eq!(whole.id(), view.store.id(), "{source}");
            assert_eq!(whole.byte_offset(), 0, "{source}");
        }
        // Rust and script use the same bytes.
        let value = run(scope, "u8.subarray(1, 3)");
        let part = BackingStore::externalize(scope, value).unwrap();
        part.copy_in(scope, 1, &[30_u8]).unwrap();
        assert_eq!(run(scope, "u8[2]").uint32_value(scope), Some(30));
    });
}

#[test]
fn what_is_out_of_bounds_or_detached_is_an_error_on_every_path() {
    in_both(|scope| {
        for source in OUT_OF_BOUNDS {
            let value = run(scope, source);
            let error = BackingStore::externalize(scope, value).unwrap_err();
            assert!(matches!(error, Error::OutOfBounds { .. }), "{source}: {error}");
            assert!(error.to_string().contains("out of bounds"), "{error}");
            assert!(matches!(copy_of::<u8>(scope, value), Err(Error::OutOfBounds { .. })), "{source}");
            BackingStore::externalize_buffer(scope, value).unwrap();
        }
        for source in DETACHED {
            let value = run(scope, source);
            for error in [
                BackingStore::externalize(scope, value).unwrap_err(),
                BackingStore::externalize_view(scope, value).unwrap_err(),
                BackingStore::externalize_buffer(scope, value).unwrap_err(),
                copy_of::<u8>(scope, value).unwrap_err(),
            ] {
                assert!(matches!(error, Error::Detached { .. }), "{source}: {error}");
                assert!(error.to_string().contains("detached"), "{error}");
            }
        }
    });
}

#[test]
fn a_view_of_a_whole_buffer_gives_a_store_that_can_be_taken_back() {
    in_own_scope(|scope| {
        let vec = vec![1_u8, 2, 3, 4];
        let address = vec.as_ptr();
        let buffer = BackingStore::from_owner(vec).unwrap().expose(scope).unwrap();
        set(scope, "b", buffer.into());
        let view = run(scope, "globalThis.v = new Uint8Array(b)");
        let store = BackingStore::externalize(scope, view).unwrap();
        detach(scope, view, None).unwrap();
        let vec: Vec<u8> = store.try_into_unique().unwrap().try_into_owner().unwrap();
        assert_eq!((vec.as_ptr(), &vec[..]), (address, &[1, 2, 3, 4][..]));
    });
}

#[test]
fn a_scope_lends_the_part_that_a_view_shows() {
    let store = numbered(16);
    isolate().enter(|scope| {
        let view = scope.expose_typed::<u16>(&store, 4, 3).unwrap();
        assert_eq!(scope.externalize(&view).unwrap(), store.slice(4..10).unwrap());
        assert_eq!(scope.externalize_buffer(&view).unwrap(), store);
        let part = scope.externalize_view(&view).unwrap();
        assert_eq!((part.element, part.byte_offset), (Some(Element::Uint16), 4));
        assert_eq!(scope.bytes(&view).unwrap()[..], [4, 5, 6, 7, 8, 9]);
        scope.bytes_mut(&view).unwrap().fill(7);
        assert_eq!(scope.store_bytes(&store).unwrap()[3..11], [3, 7, 7, 7, 7, 7, 7, 10]);
        let whole = scope.expose_typed::<u8>(&store, 0, 16).unwrap();
        assert_eq!(scope.externalize(&whole).unwrap(), store);
        let shared = scope.expose_typed::<u8>(SharedStore::zeroed(8).unwrap().as_store(), 2, 2).unwrap();
        assert_eq!(scope.externalize(&shared).unwrap().byte_length(), 2);
        scope.set_global("v", &view).unwrap();
        scope.eval::<()>("v.buffer.transfer(); undefined").unwrap();
        for error in [
            scope.externalize(&view).map(drop).unwrap_err(),
            scope.externalize_buffer(&view).map(drop).unwrap_err(),
            scope.bytes(&view).map(drop).unwrap_err(),
            scope.bytes_mut(&view).map(drop).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Detached { .. }), "{error}");
        }
    });
}

#[test]
fn a_scope_lends_what_the_views_of_script_show() {
    isolate().enter(|scope| {
        scope.eval::<()>(&*format!("{{ {MAKERS} }} undefined")).unwrap();
        scope.eval::<()>(LIES).unwrap();
        for &(source, element, byte_offset, bytes) in SHOWN.iter().filter(|(source, ..)| *source != "buffer") {
            let view = scope.eval::<Local<'_, JsArrayBufferView>>(source).unwrap();
            let is_shared = source.starts_with("shared");
            for _ in 0..2 {
                match scope.bytes(&view) {
                    Ok(lent) => assert_eq!(lent[..], *bytes, "{source}"),
                    Err(error) => assert!(
                        is_shared && matches!(error, Error::Memory(offheap::Error::SharedSlice { .. })),
                        "{source}: {error}"
                    ),
                }
                // The second time, the buffer is over a store.
                let part = scope.externalize_view(&view).unwrap();
                assert_eq!((part.element, part.byte_offset), (element, byte_offset), "{source}");
                assert_eq!(part.store.byte_length(), bytes.len(), "{source}");
            }
            if !is_shared {
                scope.bytes_mut(&view).unwrap().iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
                let changed: Vec<u8> = bytes.iter().map(|byte| byte.wrapping_add(1)).collect();
                assert_eq!(scope.bytes(&view).unwrap()[..], changed, "{source}");
                scope.bytes_mut(&view).unwrap().copy_from_slice(bytes);
            }
        }
        // A view of memory that no store has had yet.
        let fresh =
            scope.eval::<Local<'_, JsArrayBufferView>>("globalThis.f = new Uint8Array([1, 2, 3, 4]), f.subarray(1, 3)");
        let fresh = fresh.unwrap();
        scope.bytes_mut(&fresh).unwrap().fill(9);
        assert_eq!(scope.eval::<String>("f.join()").unwrap(), "1,9,9,4");
        for source in OUT_OF_BOUNDS {
            let view = scope.eval::<Local<'_, JsArrayBufferView>>(*source).unwrap();
            for error in [
                scope.bytes(&view).map(drop).unwrap_err(),
                scope.bytes_mut(&view).map(drop).unwrap_err(),
                scope.externalize(&view).map(drop).unwrap_err(),
                scope.take(&view, None).map(drop).unwrap_err(),
            ] {
                assert!(matches!(error, Error::OutOfBounds { .. }), "{source}: {error}");
            }
        }
        for source in DETACHED.iter().filter(|source| **source != "gone('b')") {
            let view = scope.eval::<Local<'_, JsArrayBufferView>>(*source).unwrap();
            for error in [
                scope.bytes(&view).map(drop).unwrap_err(),
                scope.bytes_mut(&view).map(drop).unwrap_err(),
                scope.externalize(&view).map(drop).unwrap_err(),
                scope.take(&view, None).map(drop).unwrap_err(),
            ] {
                assert!(matches!(error, Error::Detached { .. }), "{source}: {error}");
            }
        }
        let view = "new Uint8Array(new ArrayBuffer(2).transferToImmutable())";
        let view = scope.eval::<Local<'_, JsArrayBufferView>>(view).unwrap();
        assert!(matches!(scope.bytes_mut(&view), Err(Error::Immutable { .. })));
        assert!(matches!(scope.take(&view, None), Err(Error::Immutable { .. })));
        let view = scope.eval::<Local<'_, JsArrayBufferView>>("shared('new Uint8Array(b)')").unwrap();
        assert!(matches!(scope.take(&view, None), Err(Error::NotDetachable { .. })));
        let view = scope.eval::<Local<'_, JsArrayBufferView>>("globalThis.t = new Uint8Array([5, 6])").unwrap();
        assert_eq!(scope.take(&view, None).unwrap()[..], [5, 6]);
        assert_eq!(scope.eval::<u32>("t[0] === undefined ? 0 : 1").unwrap(), 0);
    });
}
