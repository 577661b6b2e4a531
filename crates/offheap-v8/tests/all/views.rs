//! Views give the part that they show, with its type, whatever script did to their properties.

use offheap_conformance::views::{DETACHED, LIES, MAKERS, OUT_OF_BOUNDS, SHOWN, check_views};
use offheap_v8::offheap::BackingStore;
use offheap_v8::{BackingStoreExt, Error, ScopeExt, copy_of, detach, v8};

use crate::common::{in_own_scope, isolate, run, set};

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
fn scopes_treat_views_as_on_every_engine() {
    check_views(&isolate);
}
