//! Stores as arguments and results of rquickjs's functions.

use std::sync::Arc;

use offheap_quickjs::offheap::{self, BackingStore, FrozenStore, SharedStore, UniqueStore};
use offheap_quickjs::prelude::*;
use offheap_quickjs::rquickjs::function::{Opt, Rest};
use offheap_quickjs::rquickjs::{self, Coerced, Ctx, FromJs, Function, IntoJs, Value};
use offheap_quickjs::{Isolate, ScopeExt};

use crate::common::{counted, in_own_context, numbered};

/// Calls `work` in a context of the program's own, and in one of an isolate.
fn in_both(work: impl Fn(&Ctx<'_>)) {
    in_own_context(&work);
    Isolate::new().unwrap().enter(|scope| scope.with_ctx(|ctx| work(&ctx)));
}

/// The string that a script gives, or what it throws.
fn said(ctx: &Ctx<'_>, source: &str) -> String {
    let value = ctx.eval::<Coerced<String>, _>(source).caught(ctx);
    value.map_or_else(|error| error.to_string(), |Coerced(text)| text)
}

/// Names what a script throws: class, code, message.
fn thrown(ctx: &Ctx<'_>, source: &str) -> String {
    said(ctx, &format!("try {{ {source} }} catch (e) {{ `${{e.name}} ${{e.code}} ${{e.message}}` }}"))
}

fn define<'js, P, F>(ctx: &Ctx<'js>, name: &str, function: F)
where
    F: rquickjs::function::IntoJsFunc<'js, P> + 'js,
{
    ctx.globals().set(name, Function::new(ctx.clone(), function).unwrap()).unwrap();
}

fn sum(Buffer(store): Buffer) -> rquickjs::Result<u32> {
    Ok(store.to_vec()?.iter().map(|&byte| u32::from(byte)).sum())
}

#[test]
fn a_function_takes_a_buffer_or_a_view() {
    in_both(|ctx| {
        define(ctx, "sum", sum);
        for (argument, expected) in [
            ("new Uint8Array([1, 2, 3]).buffer", "6"),
            ("new Uint8Array([1, 2, 3])", "6"),
            ("new Uint8Array([1, 2, 3, 4]).subarray(1, 3)", "5"),
            ("new DataView(new Uint8Array([1, 2, 3]).buffer, 2)", "3"),
            ("new Int8Array(3)", "0"),
            ("new DataView(new Uint8Array([1, 2]).buffer)", "3"),
            ("new SharedArrayBuffer(8)", "0"),
            ("new ArrayBuffer(0)", "0"),
        ] {
            assert_eq!(said(ctx, &format!("sum({argument})")), expected, "{argument}");
        }
    });
}

#[test]
fn an_argument_is_the_memory_of_script() {
    in_both(|ctx| {
        define(ctx, "fill", |ctx: Ctx<'_>, store: Buffer| store.copy_in(&ctx, 0, &[7_u8; 4]).or_throw(&ctx));
        assert_eq!(said(ctx, "const a = new Uint8Array(4); fill(a); a.join()"), "7,7,7,7");
    });
}

#[test]
fn a_value_of_another_type_is_rquickjss_error_for_that() {
    in_both(|ctx| {
        define(ctx, "sum", sum);
        assert_eq!(
            thrown(ctx, "sum('text')"),
            "TypeError undefined Error converting from js 'string' into type 'an ArrayBuffer or a view': pass an \
             ArrayBuffer or a SharedArrayBuffer, or a typed array or a DataView of one"
        );
        let value: Value<'_> = ctx.eval("5").unwrap();
        assert!(Buffer::from_js(ctx, value.clone()).unwrap_err().is_from_js());
        assert!(Copied::<u8>::from_js(ctx, value.clone()).unwrap_err().is_from_js());
        assert!(Copied::<f32>::from_js(ctx, value.clone()).unwrap_err().is_from_js());
        assert!(Shared::from_js(ctx, value).unwrap_err().is_from_js());
    });
}

#[test]
fn arguments_may_be_missing_or_many() {
    in_both(|ctx| {
        define(ctx, "length", |store: Opt<Option<Buffer>>| store.0.flatten().map(|store| store.byte_length()));
        assert_eq!(said(ctx, "[length(), length(null), length(new ArrayBuffer(3))].join()"), ",,3");
        define(ctx, "lengths", |stores: Rest<Buffer>| stores.0.iter().map(|store| store.byte_length()).sum::<usize>());
        assert_eq!(said(ctx, "lengths(new ArrayBuffer(3), new Uint8Array(4))"), "7");
    });
}

#[test]
fn a_copy_has_the_elements_of_the_view() {
    in_both(|ctx| {
        define(ctx, "samples", |Copied(samples): Copied<f32>| samples.iter().sum::<f32>());
        define(ctx, "longs", |Copied(longs): Copied<i64>| longs.iter().sum::<i64>() as f64);
        define(ctx, "bytes", |Copied(bytes): Copied<u8>| bytes);
        assert_eq!(said(ctx, "samples(new Float32Array([1, 2, 3, 4]).subarray(1, 3))"), "5");
        assert_eq!(said(ctx, "longs(new BigInt64Array([1n, 2n, -5n]))"), "-2");
        assert_eq!(said(ctx, "samples(new Float32Array(0))"), "0");
        assert_eq!(said(ctx, "bytes(new Uint16Array([258, 1]).subarray(0, 1)).join()"), "2,1");
        assert_eq!(said(ctx, "bytes(new Uint8ClampedArray([300, 1])).join()"), "255,1");
        for argument in ["new Float64Array(1)", "new ArrayBuffer(8)"] {
            assert_eq!(
                thrown(ctx, &format!("samples({argument})")),
                "TypeError undefined Error converting from js 'object' into type 'Float32Array': convert it in script, by \
                 `new Float32Array(value)`, or take a `Copied<u8>` in Rust"
            );
        }
    });
}

#[test]
fn a_detached_buffer_is_an_error_with_that_word() {
    in_both(|ctx| {
        define(ctx, "bytes", |Copied(bytes): Copied<u8>| bytes);
        define(ctx, "samples", |Copied(samples): Copied<f32>| samples);
        define(ctx, "sum", sum);
        let says = thrown(ctx, "const c = new Uint8Array(8); c.buffer.transfer(); sum(c)");
        assert!(says.starts_with("TypeError DETACHED") && says.contains("detached"), "{says}");
        let says = thrown(ctx, "const a = new ArrayBuffer(8); a.transfer(); bytes(a)");
        assert!(says.starts_with("TypeError DETACHED") && says.contains("detached"), "{says}");
        let says = thrown(ctx, "const b = new Float32Array(8); b.buffer.transfer(); samples(b)");
        assert!(says.starts_with("TypeError DETACHED"), "{says}");
    });
}

#[test]
fn taken_memory_is_the_functions_alone() {
    in_both(|ctx| {
        define(ctx, "reversed", |Taken(mut store): Taken| {
            store.reverse();
            Buffer::from(store)
        });
        let kept = std::cell::RefCell::new(Vec::new());
        define(ctx, "keep", move |store: Buffer| kept.borrow_mut().push(store));
        let source = "const a = new Uint8Array([1, 2, 3]); new Uint8Array(reversed(a)).join() + ' ' + a.length";
        assert_eq!(said(ctx, source), "3,2,1 0");
        assert_eq!(said(ctx, "new Uint8Array(reversed(reversed(new Uint8Array([4, 5]).buffer))).join()"), "4,5");
        let says = thrown(ctx, "reversed(new Uint8Array(8).subarray(1))");
        assert!(says.starts_with("TypeError UNSUPPORTED"), "{says}");
        assert!(thrown(ctx, "reversed(new SharedArrayBuffer(8))").starts_with("TypeError NOT_DETACHABLE"));
        let says = thrown(ctx, "globalThis.b = new Uint8Array(4); keep(b); reversed(b)");
        assert!(says.starts_with("TypeError NOT_UNIQUE"), "{says}");
        assert_eq!(said(ctx, "b.length"), "4");
        assert!(Taken::from_js(ctx, ctx.globals().into_value()).unwrap_err().is_from_js());
    });
}

#[test]
fn shared_memory_is_told_from_unshared() {
    in_both(|ctx| {
        define(ctx, "count", |Shared(store): Shared| store.byte_length());
        assert_eq!(said(ctx, "count(new SharedArrayBuffer(16))"), "16");
        assert!(thrown(ctx, "count(new ArrayBuffer(16))").starts_with("TypeError OTHER_KIND store "));
        define(ctx, "make", || Shared(SharedStore::zeroed(8).unwrap()));
        assert_eq!(said(ctx, "make() instanceof SharedArrayBuffer && make().byteLength"), "8");
        define(ctx, "same", |store: Buffer| store);
        assert_eq!(said(ctx, "same(new SharedArrayBuffer(4)) instanceof SharedArrayBuffer"), "true");
    });
}

#[test]
fn a_function_returns_stores() {
    in_both(|ctx| {
        define(ctx, "numbered", || Buffer(numbered(4)));
        define(ctx, "fresh", || UniqueStore::zeroed(3).map(Buffer::from));
        define(ctx, "none", || -> rquickjs::Result<Option<Buffer>> { Ok(None) });
        assert_eq!(said(ctx, "new Uint8Array(numbered()).join()"), "0,1,2,3");
        assert_eq!(said(ctx, "fresh().byteLength + String(none())"), "3undefined");
        // What script gave comes back as the same memory.
        define(ctx, "same", |store: Buffer| store);
        assert_eq!(
            said(ctx, "const a = new Uint8Array(2); const b = new Uint8Array(same(a)); b[1] = 9; a.join()"),
            "0,9"
        );
    });
}

#[test]
fn a_part_is_returned_where_its_address_allows() {
    in_both(|ctx| {
        define(ctx, "same", |store: Buffer| store);
        assert_eq!(said(ctx, "new Uint8Array(same(new Uint8Array(16).fill(5, 9).subarray(8, 10))).join()"), "0,5");
        let says = thrown(ctx, "same(new Uint8Array(16).subarray(1))");
        assert!(says.starts_with("RangeError MISALIGNED"), "{says}");
    });
}

#[test]
fn a_vec_is_a_typed_array_over_its_own_memory() {
    in_both(|ctx| {
        let samples = vec![1.0_f32, 2.0];
        let address = samples.as_ptr() as usize;
        let array = TypedArrayOf(samples).into_js(ctx).unwrap();
        assert_eq!(BackingStore::externalize(array.ctx(), &array).unwrap().as_ptr() as usize, address);
        ctx.globals().set("array", array).unwrap();
        assert_eq!(said(ctx, "array instanceof Float32Array && array.join()"), "1,2");
        define(ctx, "empty", || TypedArrayOf::<u8>(Vec::new()));
        define(ctx, "longs", || TypedArrayOf(vec![1_u64 << 63]));
        define(ctx, "three", || TypedArrayOf(vec![1_u8, 2, 3]));
        assert_eq!(said(ctx, "empty().length + ' ' + longs() + ' ' + three()"), "0 9223372036854775808 1,2,3");
    });
}

#[test]
fn frozen_memory_is_copied_only_where_script_could_write_it() {
    let owner: Arc<[u8]> = Arc::from([1, 2, 3, 4, 5, 6, 7, 8]);
    let store = FrozenStore::from_owner(owner).unwrap();
    in_both(|ctx| {
        let store = store.clone();
        define(ctx, "frozen", move || FrozenOrCopy(store.clone()));
        assert_eq!(said(ctx, "frozen().immutable && new Uint8Array(frozen()).join('')"), "12345678");
    });
    in_own_context(|ctx| {
        let store = store.clone();
        define(ctx, "frozen", move || Buffer(store.clone().into()));
        assert!(thrown(ctx, "frozen()").starts_with("TypeError UNSUPPORTED QuickJS cannot keep script"));
    });
}

#[test]
fn an_owner_is_dropped_once_whatever_path_it_took() {
    let (store, count) = counted(vec![0; 64]);
    in_both(|ctx| {
        let store = store.clone();
        define(ctx, "get", move || Buffer(store.clone()));
        define(ctx, "same", |store: Buffer| store);
        assert_eq!(said(ctx, "same(get()).byteLength + same(same(get().transfer())).byteLength"), "128");
    });
    assert_eq!(count.get(), 0);
    drop(store);
    assert_eq!(count.get(), 1);
}

#[test]
fn a_store_of_another_isolate_is_an_error_in_script() {
    let store = numbered(8);
    in_own_context(|first| {
        let _exposed = store.expose(first).unwrap();
        in_both(|ctx| {
            let store = store.clone();
            define(ctx, "get", move || Buffer(store.clone()));
            let says = thrown(ctx, "get()");
            assert!(
                says.starts_with("TypeError EXPOSED ") && says.contains("it is exposed in QuickJS isolate"),
                "{says}"
            );
        });
    });
}

#[test]
fn newtypes_convert_from_and_into_what_they_hold() {
    let store = numbered(4);
    let buffer = Buffer::from(store.clone());
    assert_eq!((buffer.byte_length(), buffer.clone().into_inner() == store), (4, true));
    let mut copied = Copied(vec![1, 2]);
    copied.push(3);
    assert_eq!(copied.into_inner(), [1, 2, 3]);
    let failed: Result<Vec<u8>, offheap::Error> = store.slice(..9).and_then(|part| part.to_vec());
    assert!(failed.is_err());
}
