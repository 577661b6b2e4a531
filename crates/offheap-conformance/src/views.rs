//! Views: texts of script that make them, with what each view shows, and checks of the scopes of an engine with script. A test
//! runs [`MAKERS`] and then [`LIES`] before the other texts.

use offheap_engine::offheap::{self, BackingStore, FrozenStore, NotUnique, SharedStore, UniqueStore};
use offheap_engine::{Element, Error, Host, Isolate, JsArrayBufferView, Local};

use crate::stores::numbered;

/// Checks what scopes do with views: expose, externalize, lend and take. `make` makes isolates.
///
/// # Panics
/// If the engine does something else than it should.
pub fn check_views<H: Host>(make: &dyn Fn() -> Isolate<H>) {
    for check in [
        a_scope_lends_the_part_that_a_view_shows::<H>,
        a_scope_lends_what_the_views_of_script_show::<H>,
        a_scope_takes_buffers_and_whole_views::<H>,
        script_and_rust_share_the_elements::<H>,
    ] {
        check(&mut make());
    }
}

/// Script may say what it likes about views: what they show is in the engine's own slots.
pub const LIES: &str = "
    for (const prototype of [Object.getPrototypeOf(Uint8Array.prototype), Uint8Array.prototype, DataView.prototype]) {
        for (const name of ['buffer', 'byteOffset', 'byteLength', 'length']) {
            Object.defineProperty(prototype, name, { get() { throw new Error(name) }, configurable: true });
        }
    }
    Object.defineProperty(Uint8Array.prototype, 'constructor', { get() {} });
    globalThis.lie = (view) => Object.defineProperties(view, {
        byteOffset: { value: 0 }, byteLength: { value: 1000 }, length: { value: 1000 }, buffer: { value: null },
    });
    undefined";

/// Script whose value is a view of the bytes 1 to 8, with the element type, the offset and the bytes that it shows.
pub const SHOWN: &[(&str, Option<Element>, usize, &[u8])] = &[
    ("u8.subarray(1, 3)", Some(Element::Uint8), 1, &[2, 3]),
    ("u8.subarray(0, 0)", Some(Element::Uint8), 0, &[]),
    ("u8.subarray(8)", Some(Element::Uint8), 8, &[]),
    ("new Uint8Array(0)", Some(Element::Uint8), 0, &[]),
    ("new Uint16Array(buffer, 2, 2)", Some(Element::Uint16), 2, &[3, 4, 5, 6]),
    ("new Uint8ClampedArray(buffer, 7)", Some(Element::Uint8Clamped), 7, &[8]),
    ("new Int8Array(buffer, 3, 1)", Some(Element::Int8), 3, &[4]),
    ("new Int16Array(buffer, 6)", Some(Element::Int16), 6, &[7, 8]),
    ("new Int32Array(buffer, 4)", Some(Element::Int32), 4, &[5, 6, 7, 8]),
    ("new Uint32Array(buffer, 0, 1)", Some(Element::Uint32), 0, &[1, 2, 3, 4]),
    ("new Float16Array(buffer, 2, 1)", Some(Element::Float16), 2, &[3, 4]),
    ("new Float32Array(buffer, 4)", Some(Element::Float32), 4, &[5, 6, 7, 8]),
    ("new Float64Array(buffer, 0, 0)", Some(Element::Float64), 0, &[]),
    ("new BigInt64Array(buffer, 8)", Some(Element::BigInt64), 8, &[]),
    ("new BigUint64Array(buffer)", Some(Element::BigUint64), 0, &[1, 2, 3, 4, 5, 6, 7, 8]),
    ("new DataView(buffer, 5, 2)", None, 5, &[6, 7]),
    ("new DataView(buffer, 8)", None, 8, &[]),
    ("buffer", None, 0, &[1, 2, 3, 4, 5, 6, 7, 8]),
    ("lie(new Uint8Array(buffer, 2, 2))", Some(Element::Uint8), 2, &[3, 4]),
    ("lie(new DataView(buffer, 2, 2))", None, 2, &[3, 4]),
    ("Object.setPrototypeOf(new Uint8Array(buffer, 2, 2), null)", Some(Element::Uint8), 2, &[3, 4]),
    ("Object.setPrototypeOf(new Uint8Array(buffer, 6), DataView.prototype)", Some(Element::Uint8), 6, &[7, 8]),
    // The length follows that of the buffer.
    ("grown('new Uint8Array(b, 2)', 5)", Some(Element::Uint8), 2, &[3, 4, 5]),
    ("grown('new Uint16Array(b, 2)', 7)", Some(Element::Uint16), 2, &[3, 4, 5, 6]),
    ("grown('new Uint16Array(b, 2)', 2)", Some(Element::Uint16), 2, &[]),
    ("grown('new Uint32Array(b)', 3)", Some(Element::Uint32), 0, &[]),
    ("grown('new DataView(b, 6)', 7)", None, 6, &[7]),
    ("grown('new DataView(b, 1)', 1)", None, 1, &[]),
    ("grown('new Uint8Array(b)', 0)", Some(Element::Uint8), 0, &[]),
    ("grown('new Uint8Array(b, 0, 0)', 0)", Some(Element::Uint8), 0, &[]),
    ("grown('new Uint8Array(b, 8, 0)', 8)", Some(Element::Uint8), 8, &[]),
    ("grown('new Uint8Array(b, 4, 2)', 6)", Some(Element::Uint8), 4, &[5, 6]),
    ("grown('new Uint8Array(b, 4, 2)', 5, 6)", Some(Element::Uint8), 4, &[5, 0]),
    ("shared('new Uint8Array(b, 3, 2)')", Some(Element::Uint8), 3, &[4, 5]),
    ("shared('new DataView(b, 7)')", None, 7, &[8]),
];

/// Script whose value is a view that is out of bounds.
pub const OUT_OF_BOUNDS: &[&str] = &[
    "grown('new Uint8Array(b, 4, 2)', 5)",
    "grown('new Uint8Array(b, 4)', 3)",
    "grown('new Uint8Array(b, 0, 1)', 0)",
    "grown('new Uint16Array(b, 2)', 1)",
    "grown('new DataView(b, 4, 4)', 7)",
    "grown('new DataView(b, 4)', 3)",
    "grown('new DataView(b, 0, 8)', 0)",
    "grown('new BigInt64Array(b, 0, 1)', 7)",
    "grown('new Uint8Array(b, 8, 0)', 7)",
];

/// Script whose value is a buffer that is detached, or a view of one.
pub const DETACHED: &[&str] = &[
    "gone('b')",
    "gone('new Uint8Array(b, 1, 2)')",
    "gone('new Uint8Array(b, 0, 0)')",
    "gone('new DataView(b)')",
    "gone('new Float64Array(b)')",
];

/// Script that defines `buffer` and `u8` over the bytes 1 to 8, and the functions that the texts above call.
pub const MAKERS: &str = "{
    const bytes = [1, 2, 3, 4, 5, 6, 7, 8];
    const filled = (buffer) => (new Uint8Array(buffer).set(bytes), buffer);
    globalThis.buffer = filled(new ArrayBuffer(8));
    globalThis.u8 = new Uint8Array(buffer);
    // A view of a resizable buffer, which then gets these lengths.
    globalThis.grown = (view, ...lengths) => {
        const b = filled(new ArrayBuffer(8, { maxByteLength: 16 }));
        view = new Function('b', 'return ' + view)(b);
        for (const length of lengths) b.resize(length);
        return view;
    };
    globalThis.shared = (view) => new Function('b', 'return ' + view)(filled(new SharedArrayBuffer(8)));
    globalThis.gone = (view) => {
        const b = filled(new ArrayBuffer(8));
        view = new Function('b', 'return ' + view)(b);
        b.transfer();
        return view;
    };
    undefined
}";

fn a_scope_lends_the_part_that_a_view_shows<H: Host>(isolate: &mut Isolate<H>) {
    let store = numbered(16);
    isolate.enter(|scope| {
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

fn a_scope_lends_what_the_views_of_script_show<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        scope.eval::<()>(MAKERS).unwrap();
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

fn a_scope_takes_buffers_and_whole_views<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new Uint8Array([1, 2, 3]).buffer").unwrap();
        scope.set_detach_key(&buffer, Some("mine")).unwrap();
        for key in [None, Some("other")] {
            assert!(matches!(scope.take(&buffer, key), Err(Error::WrongDetachKey { .. })));
            assert_eq!(scope.bytes(&buffer).unwrap()[..], [1, 2, 3]);
        }
        assert_eq!(scope.take(&buffer, Some("mine")).unwrap()[..], [1, 2, 3]);
        assert!(scope.state(&buffer).unwrap().detached);

        let store = numbered(8);
        let view = scope.expose_typed::<u8>(&store, 0, 8).unwrap();
        let error = scope.take(&view, None).unwrap_err();
        assert!(
            matches!(error, Error::Memory(offheap::Error::NotUnique { reason: NotUnique::Exposed { .. }, .. })),
            "{error}"
        );
        let address = store.as_ptr();
        drop(store);
        assert_eq!(scope.take(&view, None).unwrap().as_ptr().cast_mut().cast(), address);
        assert!(matches!(scope.bytes(&view), Err(Error::Detached { .. })));

        let frozen = FrozenStore::from_owner(vec![1_u64; 8]).unwrap();
        let buffer = scope.expose(&frozen.into()).unwrap();
        assert!(matches!(scope.take(&buffer, None), Err(Error::Immutable { .. })));
    });
}

fn script_and_rust_share_the_elements<H: Host>(isolate: &mut Isolate<H>) {
    let store = BackingStore::from(UniqueStore::from_owner(vec![1.0_f32, 2.0, 3.0, 4.0]).unwrap());
    isolate.enter(|scope| {
        let view = scope.expose_typed::<f32>(&store, 4, 2).unwrap();
        scope.set_global("v", &view).unwrap();
        assert_eq!(scope.eval::<f64>("v[0] = 20; v[2] = 1; v[1] + v.length").unwrap(), 5.0);
    });
    assert_eq!(store.copy_out::<f32>().unwrap(), [1.0, 20.0, 3.0, 4.0]);
}
