//! Copies of the bytes that script sees in a buffer or a view.

use offheap_quickjs::offheap::{BackingStore, UniqueStore};
use offheap_quickjs::rquickjs::{Context, Ctx, Runtime, Value};
use offheap_quickjs::{BackingStoreExt, Error, copy_of};

fn with_ctx(work: impl for<'js> FnOnce(Ctx<'js>)) {
    let context = Context::full(&Runtime::new().expect("a runtime")).expect("a context");
    context.with(work);
}

fn copy(ctx: &Ctx<'_>, source: &str) -> Result<Vec<u8>, Error> {
    copy_of(ctx, &ctx.eval::<Value<'_>, _>(source).expect("the script runs"))
}

#[test]
fn c18_copies_have_what_the_engine_knows_of_a_view_and_not_what_script_says() {
    with_ctx(|ctx| {
        ctx.eval::<(), _>(
            "globalThis.bytes = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7).buffer;
             globalThis.Liar = class extends Uint8Array {
               subarray() { throw 1 } get length() { throw 2 } get byteLength() { return 99 } get byteOffset() { return 3 }
             };
             for (const name of ['buffer', 'byteOffset', 'byteLength', 'length']) {
               Object.defineProperty(Object.getPrototypeOf(Uint8Array.prototype), name, { get() { throw name } });
             }; void 0",
        )
        .expect("the script runs");
        let same = |source, expected: &[u8]| assert_eq!(copy(&ctx, source).expect("bytes"), expected, "{source}");
        same("bytes", &[0, 1, 2, 3, 4, 5, 6, 7]);
        same("new Liar(bytes, 2, 3)", &[2, 3, 4]);
        same("new Uint16Array(bytes, 6)", &[6, 7]);
        same("new DataView(bytes, 7)", &[7]);
        same("new Uint8Array(0)", &[]);
        same("bytes.slice(7)", &[7]);
    });
}

#[test]
fn copies_of_memory_that_native_code_made_or_that_changes_its_length() {
    with_ctx(|ctx| {
        let store = BackingStore::from(UniqueStore::from_owner(vec![5_u8, 6, 7, 8]).expect("a store"));
        ctx.globals().set("ours", store.expose(&ctx).expect("a buffer")).expect("a global");
        let same = |source, expected: &[u8]| assert_eq!(copy(&ctx, source).expect("bytes"), expected, "{source}");
        same("ours", &[5, 6, 7, 8]);
        same("new DataView(ours, 1, 2)", &[6, 7]);
        same(
            "var growing = new ArrayBuffer(2, { maxByteLength: 8 }), tracking = new Uint8Array(growing); growing",
            &[0, 0],
        );
        same("var fixed = new Uint8Array(growing, 1, 1), part = new DataView(growing, 1, 1); tracking", &[0, 0]);
        same("growing.resize(3); tracking.fill(9); tracking", &[9, 9, 9]);
        for beyond in ["growing.resize(1); fixed", "part"] {
            // Both begin at the end, and have one byte.
            let error = copy(&ctx, beyond).expect_err("out of bounds");
            assert!(matches!(error, Error::OutOfBounds { .. }), "{beyond}: {error}");
        }
        same("growing.resize(0); growing", &[]);
        same("tracking", &[]);
    });
}

#[test]
fn detached_buffers_and_other_values_are_not_copied() {
    with_ctx(|ctx| {
        ctx.eval::<(), _>("var view = new Uint8Array(8); var { buffer } = view; buffer.transfer(); void 0")
            .expect("the script runs");
        for gone in ["buffer", "view"] {
            assert!(matches!(copy(&ctx, gone), Err(Error::Detached { .. })), "{gone}");
        }
        for other in ["1", "undefined", "({})", "[1, 2]", "new Proxy(view, {})", "'text'"] {
            assert!(matches!(copy(&ctx, other), Err(Error::NotAnArrayBuffer { .. })), "{other}");
        }
    });
}

#[test]
fn elements_of_any_type_are_copied_from_any_view() {
    with_ctx(|ctx| {
        let value = |source: &str| ctx.eval::<Value<'_>, _>(source).expect("the script runs");
        let floats = value("globalThis.a = new Float32Array([1, 2, 3, 4]); a.subarray(1, 3)");
        assert_eq!(copy_of::<f32>(&ctx, &floats).unwrap(), [2.0, 3.0]);
        assert_eq!(copy_of::<u32>(&ctx, &floats).unwrap(), [2.0_f32.to_bits(), 3.0_f32.to_bits()]);
        // Misaligned in the buffer, and over a store.
        let store = BackingStore::from(UniqueStore::from_owner(vec![1_u8, 2, 0, 3, 0, 0, 0, 9]).expect("a store"));
        ctx.globals().set("ours", store.expose(&ctx).expect("a buffer")).expect("a global");
        assert_eq!(copy_of::<u16>(&ctx, &value("new DataView(ours, 1, 4)")).unwrap(), [2, 3]);
        assert_eq!(copy_of::<u64>(&ctx, &value("new Uint8Array(0)")).unwrap(), [0; 0]);
        let error = copy_of::<u16>(&ctx, &value("new Uint8Array(3)")).unwrap_err();
        assert!(matches!(error, Error::PartialElement { byte_length: 3, element: "u16", .. }), "{error}");
        assert!(matches!(copy_of::<()>(&ctx, &floats), Err(Error::PartialElement { .. })));
    });
}
