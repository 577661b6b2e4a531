//! Texts of script that make views, and what each view shows, for the tests of adapters. An adapter runs [`MAKERS`] and
//! then [`LIES`] first.

use offheap_engine::Element;

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
