//! V8's cases of views as native code sees them.

use offheap_engine::Engine;

use crate::{Capabilities, Case, Failure, Lab};

const SCRIPT: Capabilities = Capabilities::SCRIPT;
const RESIZABLE: Capabilities = Capabilities::SCRIPT.union(Capabilities::RESIZABLE);

const fn case(
    number: &'static str,
    name: &'static str,
    needs: Capabilities,
    summary: &'static str,
    run: fn(&Lab<'_>) -> Result<(), Failure>,
) -> Case {
    Case { number, name, needs, summary, run }
}

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    case("A35", "a35_array_buffer_view_get_contents_small_uint8", SCRIPT,
        "The bytes of a typed array so small that an engine may keep them in the object itself.", contents::<0>),
    case("A36", "a36_array_buffer_view_get_contents_large_uint8", SCRIPT,
        "The bytes of a larger typed array.", contents::<1>),
    case("A37", "a37_array_buffer_view_get_contents_uint8_view", SCRIPT,
        "The bytes of a typed array over the middle of a buffer.", contents::<2>),
    case("A38", "a38_array_buffer_view_get_contents_small_uint32", SCRIPT,
        "The bytes of a small typed array of larger elements.", contents::<3>),
    case("A39", "a39_array_buffer_view_get_contents_large_uint16", SCRIPT,
        "The bytes of a large typed array of larger elements.", contents::<4>),
    case("A40", "a40_array_buffer_view_get_contents_uint16_view", SCRIPT,
        "The bytes of a typed array of larger elements over the middle of a buffer.", contents::<5>),
    case("A41", "a41_array_buffer_view_get_contents_small_data_view", SCRIPT,
        "The bytes of a small DataView.", contents::<6>),
    case("A42", "a42_array_buffer_view_get_contents_large_data_view", SCRIPT,
        "The bytes of a large DataView.", contents::<7>),
    case("A43", "a43_array_buffer_view_get_contents_data_view_with_offset", SCRIPT,
        "The bytes of a DataView over the end of a buffer.", contents::<8>),
    case("A44", "a44_array_buffer_view_get_contents_small_resizable_data_view", RESIZABLE,
        "The bytes of a DataView that follows the length of a small buffer.", contents::<9>),
    case("A45", "a45_array_buffer_view_get_contents_resizable_typed_array", RESIZABLE,
        "The bytes of a typed array that follows the length of a buffer which got longer: only whole elements count.",
        contents::<10>),
    case("A46", "a46_array_buffer_view_get_contents_large_resizable_data_view", RESIZABLE,
        "The bytes of a DataView that follows the length of a large buffer.", contents::<11>),
    case("A47", "a47_array_buffer_view_get_contents_resizable_data_view_with_offset", RESIZABLE,
        "The bytes of a DataView that follows the end of a buffer which got shorter.", contents::<12>),
    case("A48", "a48_array_buffer_view_get_contents_detached", SCRIPT,
        "A view of a buffer that script transferred away has no bytes.", contents::<13>),
    case("A49", "a49_array_buffer_view_get_contents_out_of_bounds", RESIZABLE,
        "A view that begins beyond the end of its buffer has no bytes.", contents::<14>),
    case("V33", "v33_detached_array_buffer_views_pretend_offset_and_length_are_zero", RESIZABLE,
        "Typed arrays and DataViews of a resizable buffer, with a fixed length or following it, have offset and length 0 \
         once native code detached the buffer.", detached_views),
    case("V34", "v34_out_of_bounds_array_buffer_views_pretend_offset_and_length_are_zero", RESIZABLE,
        "Typed arrays and DataViews of a resizable buffer have offset and length 0 once the buffer was resized to 0, and \
         their old ones once it has its old length.",
        out_of_bounds_views),
];

/// A view, its offset, and its bytes.
struct Sight {
    source: &'static str,
    byte_offset: usize,
    contents: fn() -> Vec<u8>,
}

const fn sight(source: &'static str, byte_offset: usize, contents: fn() -> Vec<u8>) -> Sight {
    Sight { source, byte_offset, contents }
}

fn u16s(values: std::ops::Range<u16>) -> Vec<u8> {
    values.flat_map(u16::to_ne_bytes).collect()
}

#[rustfmt::skip]
const SIGHTS: [Sight; 15] = [
    sight("new Uint8Array([7, 5, 3, 2])", 0, || vec![7, 5, 3, 2]),
    sight("Uint8Array.from({ length: 200 }, (_, i) => i)", 0, || (0..200).collect()),
    sight("new Uint8Array(Uint8Array.from({ length: 200 }, (_, i) => i).buffer, 70, 9)", 70, || (70..79).collect()),
    sight("new Uint32Array([70_000, 1, 2 ** 32 - 1])", 0,
        || [70_000_u32, 1, u32::MAX].into_iter().flat_map(u32::to_ne_bytes).collect()),
    sight("Uint16Array.from({ length: 300 }, (_, i) => i)", 0, || u16s(0..300)),
    sight("new Uint16Array(Uint16Array.from({ length: 300 }, (_, i) => i).buffer, 512, 10)", 512, || u16s(256..266)),
    sight("new DataView(new Uint8Array([9, 8, 7]).buffer)", 0, || vec![9, 8, 7]),
    sight("new DataView(Uint8Array.from({ length: 200 }, (_, i) => i).buffer)", 0, || (0..200).collect()),
    sight("new DataView(Uint8Array.from({ length: 200 }, (_, i) => i).buffer, 150)", 150, || (150..200).collect()),
    sight("(() => { const buffer = new ArrayBuffer(4, { maxByteLength: 8 }); new Uint8Array(buffer).set([4, 3, 2, 1]);
        return new DataView(buffer); })()", 0, || vec![4, 3, 2, 1]),
    sight("(() => { const buffer = new ArrayBuffer(4, { maxByteLength: 8 }); const view = new Uint16Array(buffer, 2);
        buffer.resize(7); new Uint8Array(buffer).set([1, 2, 3, 4, 5, 6, 7]); return view; })()", 2, || vec![3, 4, 5, 6]),
    sight("(() => { const buffer = new ArrayBuffer(200, { maxByteLength: 400 }); new Uint8Array(buffer).fill(6);
        return new DataView(buffer); })()", 0, || vec![6; 200]),
    sight("(() => { const buffer = new ArrayBuffer(200, { maxByteLength: 400 }); const view = new DataView(buffer, 90);
        new Uint8Array(buffer).fill(8); buffer.resize(100); return view; })()", 90, || vec![8; 10]),
    sight("(() => { const view = new Uint8Array(new ArrayBuffer(8), 2); view.buffer.transfer(); return view; })()", 0,
        Vec::new),
    sight("(() => { const buffer = new ArrayBuffer(8, { maxByteLength: 8 }); const view = new Uint8Array(buffer, 2);
        buffer.resize(1); return view; })()", 0, Vec::new),
];

fn contents<const SIGHT: usize>(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let Sight { source, byte_offset, contents } = &SIGHTS[SIGHT];
    let view = engine.evaluate_view(source)?;
    let expected = contents();
    expect_eq!(view.contents, expected, "the bytes of {source}");
    expect_eq!((view.byte_offset, view.byte_length), (*byte_offset, expected.len()), "offset and length of {source}");
    Ok(())
}

/// Views of a resizable buffer of 8 bytes.
const VIEWS: &str = "
    globalThis.buffer = new ArrayBuffer(8, { maxByteLength: 16 });
    globalThis.views = [
        new Uint8Array(buffer, 2, 4), new Uint8Array(buffer, 2), new DataView(buffer, 2, 4), new DataView(buffer, 2),
    ];
    buffer";

fn expect_views(engine: &mut dyn Engine, expected: [(usize, usize); 4]) -> Result<(), Failure> {
    for (index, expected) in expected.into_iter().enumerate() {
        let view = engine.evaluate_view(&format!("views[{index}]"))?;
        expect_eq!((view.byte_offset, view.byte_length), expected, "offset and length of view {index}");
        expect_eq!(view.contents.len(), expected.1, "the bytes of view {index}");
    }
    Ok(())
}

fn detached_views(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.evaluate_buffer(VIEWS)?;
    expect_views(&mut *engine, [(2, 4), (2, 6), (2, 4), (2, 6)])?;
    engine.detach(&buffer, None)?;
    expect_views(&mut *engine, [(0, 0); 4])
}

fn out_of_bounds_views(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.evaluate_buffer(VIEWS)?;
    engine.resize(&buffer, 0)?;
    expect_views(&mut *engine, [(0, 0); 4])?;
    engine.resize(&buffer, 8)?;
    expect_views(&mut *engine, [(2, 4), (2, 6), (2, 4), (2, 6)])
}
