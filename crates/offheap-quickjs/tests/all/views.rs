//! Views give the part that they show, with its type, whatever script did to their properties.

use offheap_conformance::views::{DETACHED, LIES, MAKERS, OUT_OF_BOUNDS, SHOWN, check_views};
use offheap_quickjs::offheap::BackingStore;
use offheap_quickjs::rquickjs::{Ctx, Value};
use offheap_quickjs::{BackingStoreExt, Error, Isolate, ScopeExt, copy_of, detach};

use crate::common::{in_own_context, run};

fn value<'js>(ctx: &Ctx<'js>, source: &str) -> Value<'js> {
    ctx.eval(source).unwrap_or_else(|_| panic!("{source}: {:?}", ctx.catch()))
}

/// Calls `work` in a program's own context and in that of an isolate.
fn in_both(work: impl Fn(&Ctx<'_>)) {
    let prepare = |ctx: &Ctx<'_>| {
        run(ctx, MAKERS);
        run(ctx, LIES);
    };
    in_own_context(|ctx| {
        prepare(ctx);
        work(ctx);
    });
    Isolate::new().unwrap().enter(|scope| {
        scope.with_ctx(|ctx| {
            prepare(&ctx);
            work(&ctx);
        });
    });
}

#[test]
fn a_view_gives_the_part_that_it_shows() {
    in_both(|ctx| {
        for &(source, element, byte_offset, bytes) in SHOWN {
            let value = value(ctx, source);
            let view = BackingStore::externalize_view(ctx, &value).unwrap_or_else(|error| panic!("{source}: {error}"));
            assert_eq!((view.element, view.byte_offset), (element, byte_offset), "{source}");
            assert_eq!(view.store.to_vec().unwrap(), bytes, "{source}");
            assert_eq!(BackingStore::externalize(ctx, &value).unwrap(), view.store, "{source}");
            assert_eq!(copy_of::<u8>(ctx, &value).unwrap(), bytes, "{source}");
            let whole = BackingStore::externalize_buffer(ctx, &value).unwrap();
            assert_eq!(whole.id(), view.store.id(), "{source}");
            assert_eq!(whole.byte_offset(), 0, "{source}");
        }
        // Rust and script use the same bytes.
        let part = BackingStore::externalize(ctx, &value(ctx, "u8.subarray(1, 3)")).unwrap();
        part.copy_in(ctx, 1, &[30_u8]).unwrap();
        assert_eq!(ctx.eval::<u32, _>("u8[2]").unwrap(), 30);
    });
}

#[test]
fn what_is_out_of_bounds_or_detached_is_an_error_on_every_path() {
    in_both(|ctx| {
        for source in OUT_OF_BOUNDS {
            let value = value(ctx, source);
            let error = BackingStore::externalize(ctx, &value).unwrap_err();
            assert!(matches!(error, Error::OutOfBounds { .. }), "{source}: {error}");
            assert!(error.to_string().contains("out of bounds"), "{error}");
            assert!(matches!(copy_of::<u8>(ctx, &value), Err(Error::OutOfBounds { .. })), "{source}");
            BackingStore::externalize_buffer(ctx, &value).unwrap();
        }
        for source in DETACHED {
            let value = value(ctx, source);
            for error in [
                BackingStore::externalize(ctx, &value).unwrap_err(),
                BackingStore::externalize_view(ctx, &value).unwrap_err(),
                BackingStore::externalize_buffer(ctx, &value).unwrap_err(),
                copy_of::<u8>(ctx, &value).unwrap_err(),
            ] {
                assert!(matches!(error, Error::Detached { .. }), "{source}: {error}");
                assert!(error.to_string().contains("detached"), "{error}");
            }
        }
    });
}

#[test]
fn a_view_of_a_whole_buffer_gives_a_store_that_can_be_taken_back() {
    in_own_context(|ctx| {
        let vec = vec![1_u8, 2, 3, 4];
        let address = vec.as_ptr();
        ctx.globals().set("b", BackingStore::from_owner(vec).unwrap().expose(ctx).unwrap()).unwrap();
        let view = value(ctx, "globalThis.v = new Uint8Array(b)");
        let store = BackingStore::externalize(ctx, &view).unwrap();
        detach(ctx, &view, None).unwrap();
        let vec: Vec<u8> = store.try_into_unique().unwrap().try_into_owner().unwrap();
        assert_eq!((vec.as_ptr(), &vec[..]), (address, &[1, 2, 3, 4][..]));
    });
}

#[test]
fn a_value_of_another_runtime_is_refused() {
    in_own_context(|first| {
        in_own_context(|second| {
            let value = value(second, "new Uint8Array(4)");
            for error in [
                BackingStore::externalize(first, &value).map(drop).unwrap_err(),
                BackingStore::externalize_view(first, &value).map(drop).unwrap_err(),
                BackingStore::externalize_buffer(first, &value).map(drop).unwrap_err(),
                copy_of::<u8>(first, &value).map(drop).unwrap_err(),
                detach(first, &value, None).unwrap_err(),
            ] {
                assert!(matches!(error, Error::WrongIsolate { .. }), "{error}");
            }
            BackingStore::externalize(second, &value).unwrap();
        });
    });
}

#[test]
fn scopes_treat_views_as_on_every_engine() {
    check_views(&|| Isolate::new().unwrap());
}
