//! V8's cases of typed arrays and DataViews over memory that native code also uses.

use offheap_engine::Engine;
use offheap_engine::offheap::{BackingStore, SharedStore, UniqueStore};

use crate::{Capabilities, Case, Failure, Lab};

const SCRIPT: Capabilities = Capabilities::SCRIPT;
const SHARED: Capabilities = Capabilities::SCRIPT.union(Capabilities::SHARED);

const OVER_BUFFER: &str = "50 elements from the third on over an ArrayBuffer. Script sees native writes, also in warm code, and \
    native code sees those of script. Boundary values convert as ECMAScript requires, and no access is out of bounds.";
const OVER_SHARED: &str = "50 elements from the third on over a SharedArrayBuffer, which native code writes while script has it. \
    Both see the other's writes. Boundary values convert as ECMAScript requires, and no access is out of bounds.";
const IS: &str = "Script and native code agree on the type of the view.";

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
    case("V1", "v1_uint8_array", SCRIPT, OVER_BUFFER, typed::<0, false>),
    case("V2", "v2_int8_array", SCRIPT, OVER_BUFFER, typed::<1, false>),
    case("V3", "v3_uint16_array", SCRIPT, OVER_BUFFER, typed::<2, false>),
    case("V4", "v4_int16_array", SCRIPT, OVER_BUFFER, typed::<3, false>),
    case("V5", "v5_uint32_array", SCRIPT, OVER_BUFFER, typed::<4, false>),
    case("V6", "v6_int32_array", SCRIPT, OVER_BUFFER, typed::<5, false>),
    case("V7", "v7_float32_array", SCRIPT, OVER_BUFFER, typed::<6, false>),
    case("V8", "v8_float64_array", SCRIPT, OVER_BUFFER, typed::<7, false>),
    case("V9", "v9_uint8_clamped_array", SCRIPT, OVER_BUFFER, typed::<8, false>),
    case("V10", "v10_data_view", SCRIPT, "50 bytes from the third on, through a DataView over an ArrayBuffer.", data_view::<false>),
    case("V11", "v11_shared_uint8_array", SHARED, OVER_SHARED, typed::<0, true>),
    case("V12", "v12_shared_int8_array", SHARED, OVER_SHARED, typed::<1, true>),
    case("V13", "v13_shared_uint16_array", SHARED, OVER_SHARED, typed::<2, true>),
    case("V14", "v14_shared_int16_array", SHARED, OVER_SHARED, typed::<3, true>),
    case("V15", "v15_shared_uint32_array", SHARED, OVER_SHARED, typed::<4, true>),
    case("V16", "v16_shared_int32_array", SHARED, OVER_SHARED, typed::<5, true>),
    case("V17", "v17_shared_float32_array", SHARED, OVER_SHARED, typed::<6, true>),
    case("V18", "v18_shared_float64_array", SHARED, OVER_SHARED, typed::<7, true>),
    case("V19", "v19_shared_uint8_clamped_array", SHARED, OVER_SHARED, typed::<8, true>),
    case("V20", "v20_shared_data_view", SHARED, "50 bytes from the third on, through a DataView over a SharedArrayBuffer.", data_view::<true>),
    case("V21", "v21_is_uint8_array", SCRIPT, IS, is::<0>),
    case("V22", "v22_is_int8_array", SCRIPT, IS, is::<1>),
    case("V23", "v23_is_uint16_array", SCRIPT, IS, is::<2>),
    case("V24", "v24_is_int16_array", SCRIPT, IS, is::<3>),
    case("V25", "v25_is_uint32_array", SCRIPT, IS, is::<4>),
    case("V26", "v26_is_int32_array", SCRIPT, IS, is::<5>),
    case("V27", "v27_is_float32_array", SCRIPT, IS, is::<6>),
    case("V28", "v28_is_float64_array", SCRIPT, IS, is::<7>),
    case("V29", "v29_is_uint8_clamped_array", SCRIPT, IS, is::<8>),
    case("V30", "v30_is_data_view", SCRIPT, IS, is::<9>),
    case("V31", "v31_internal_fields_on_typed_array", SCRIPT,
        "A new typed array has nothing attached. Engines here have no internal fields, so its own properties and the \
         bytes of its buffer replace them.", nothing_attached::<0>),
    case("V32", "v32_internal_fields_on_data_view", SCRIPT, "A new DataView has nothing attached.", nothing_attached::<9>),
];

/// A sort of typed array.
struct Kind {
    name: &'static str,
    element_size: usize,
    encode: fn(f64) -> Vec<u8>,
    decode: fn(&[u8]) -> f64,
    /// The literal that script writes, and the number that is stored.
    boundaries: &'static [(&'static str, f64)],
}

macro_rules! kind {
    ($name:literal, $element:ty, $boundaries:expr) => {
        Kind {
            name: $name,
            element_size: size_of::<$element>(),
            encode: |value| (value as $element).to_ne_bytes().to_vec(),
            decode: |bytes| <$element>::from_ne_bytes(bytes.try_into().expect("one element")) as f64,
            boundaries: $boundaries,
        }
    };
}

/// The values that integer types of each size store for numbers outside their range.
macro_rules! whole {
    ($name:literal, $element:ty) => {
        kind!(
            $name,
            $element,
            &[
                ("LOW", <$element>::MIN as f64),
                ("HIGH", <$element>::MAX as f64),
                ("LOW - 1", <$element>::MAX as f64),
                ("HIGH + 1", <$element>::MIN as f64),
                ("1.9", 1.0),
                ("-1.9", (-1_i64 as $element) as f64),
                ("NaN", 0.0),
                ("Infinity", 0.0),
                ("-Infinity", 0.0),
                ("undefined", 0.0),
                ("'17'", 17.0),
            ]
        )
    };
}

const KINDS: [Kind; 9] = [
    whole!("Uint8Array", u8),
    whole!("Int8Array", i8),
    whole!("Uint16Array", u16),
    whole!("Int16Array", i16),
    whole!("Uint32Array", u32),
    whole!("Int32Array", i32),
    kind!(
        "Float32Array",
        f32,
        &[
            ("LOW", f32::MIN as f64),
            ("HIGH", f32::MAX as f64),
            ("HIGH * 2", f64::INFINITY),
            ("1.1", 1.1_f32 as f64),
            ("-0.5", -0.5),
            ("NaN", f64::NAN),
            ("-Infinity", f64::NEG_INFINITY),
            ("undefined", f64::NAN),
        ]
    ),
    kind!(
        "Float64Array",
        f64,
        &[
            ("LOW", f64::MIN),
            ("HIGH", f64::MAX),
            ("HIGH * 2", f64::INFINITY),
            ("1.1", 1.1),
            ("-0.5", -0.5),
            ("NaN", f64::NAN),
            ("-Infinity", f64::NEG_INFINITY),
            ("undefined", f64::NAN),
        ]
    ),
    kind!(
        "Uint8ClampedArray",
        u8,
        &[
            ("LOW", 0.0),
            ("HIGH", 255.0),
            ("LOW - 1", 0.0),
            ("HIGH + 1", 255.0),
            ("0.5", 0.0),
            ("1.5", 2.0),
            ("NaN", 0.0),
            ("Infinity", 255.0),
            ("-Infinity", 0.0),
            ("undefined", 0.0),
        ]
    ),
];

const ELEMENTS: usize = 50;
/// The elements before the beginning of the view.
const BEFORE: usize = 2;

fn zeroed(byte_length: usize, is_shared: bool) -> Result<BackingStore, Failure> {
    Ok(if is_shared { SharedStore::zeroed(byte_length)?.into() } else { UniqueStore::zeroed(byte_length)?.into() })
}

/// Writes from native code: while script has the memory if it is shared, otherwise between two buffers over it.
fn write_natively(
    engine: &mut dyn Engine,
    store: &mut BackingStore,
    offset: usize,
    bytes: &[u8],
) -> Result<(), Failure> {
    match SharedStore::try_from(store.clone()) {
        Ok(shared) => shared.copy_from_slice(offset, bytes)?,
        Err(unshared) => {
            drop(unshared);
            let buffer = engine.evaluate_buffer("buffer")?;
            engine.detach(&buffer, None)?;
            store.bytes_mut()?[offset..offset + bytes.len()].copy_from_slice(bytes);
            let again = engine.expose(store)?.0;
            engine.set_global("buffer", &again)?;
            engine.evaluate("globalThis.view = globalThis.makeView(); undefined")?;
        }
    }
    Ok(())
}

fn typed<const KIND: usize, const SHARED: bool>(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let Kind { name, element_size, encode, decode, boundaries } = &KINDS[KIND];
    let start = BEFORE * element_size;
    let mut store = zeroed((BEFORE + ELEMENTS) * element_size, SHARED)?;
    let buffer = engine.expose(&store)?.0;
    engine.set_global("buffer", &buffer)?;
    engine.evaluate(&format!(
        "globalThis.makeView = () => new {name}(globalThis.buffer, {start}, {ELEMENTS});
         globalThis.view = makeView();
         globalThis.sum = (view) => {{ let sum = 0; for (let i = 0; i < view.length; i++) sum += view[i]; return sum; }};
         globalThis.add = (view) => {{ for (let i = 0; i < view.length; i++) view[i] = view[i] + i; }};
         undefined"
    ))?;
    let shape = "String([view.length, view.byteLength, view.byteOffset, view.buffer === buffer])";
    expect_script!(engine, shape, format!("50,{},{start},true", ELEMENTS * element_size));
    expect_script!(engine, "String([sum(view), view.every((element) => element === 0)])", "0,true");

    let numbers: Vec<u8> = (0..ELEMENTS).flat_map(|index| encode(index as f64)).collect();
    write_natively(&mut *engine, &mut store, start, &numbers)?;
    expect_script!(
        engine,
        "let total = 0; for (let n = 0; n < 500; n++) total += sum(view); String(total / 500)",
        "1225"
    );
    engine.evaluate("add(view)")?;
    let doubled: Vec<u8> = (0..ELEMENTS).flat_map(|index| encode(2.0 * index as f64)).collect();
    expect_eq!(store.to_vec()?[start..], doubled, "the bytes that script wrote, as native code sees them");

    let limits = match element_size {
        _ if name.starts_with("Float") => match element_size {
            4 => "const HIGH = 3.4028234663852886e38, LOW = -HIGH;",
            _ => "const HIGH = Number.MAX_VALUE, LOW = -HIGH;",
        },
        _ if name.starts_with('U') => "const HIGH = 2 ** (8 * view.BYTES_PER_ELEMENT) - 1, LOW = 0;",
        _ => "const HIGH = 2 ** (8 * view.BYTES_PER_ELEMENT - 1) - 1, LOW = -HIGH - 1;",
    };
    let written: Vec<&str> = boundaries.iter().map(|(written, _)| *written).collect();
    engine.evaluate(&format!(
        "{{ {limits} [{}].forEach((value, index) => {{ view[index] = value; }}); }}",
        written.join(", ")
    ))?;
    let bytes = store.to_vec()?;
    for (index, (written, expected)) in boundaries.iter().enumerate() {
        let seen = decode(&bytes[start + index * element_size..][..*element_size]);
        expect!(same(seen, *expected), "{written} in a {name} is {expected}, saw {seen}");
        let read = format!("Object.is(view[{index}], {})", literal(*expected));
        expect_script!(engine, &format!("String({read})"), "true");
    }

    let beyond = "[50, -1, 2 ** 32].map((i) => { view[i] = 1; return String(view[i]) + (i in view); }).join()";
    expect_script!(engine, beyond, "undefinedfalse,undefinedfalse,undefinedfalse");
    expect_eq!(store.to_vec()?[..start], vec![0; start], "the bytes before the view");
    Ok(())
}

fn same(seen: f64, expected: f64) -> bool {
    seen == expected || seen.is_nan() && expected.is_nan()
}

fn literal(number: f64) -> String {
    if number.is_infinite() {
        format!("{}Infinity", if number < 0.0 { "-" } else { "" })
    } else {
        format!("{number:?}")
    }
}

fn data_view<const SHARED: bool>(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let mut store = zeroed(BEFORE + ELEMENTS, SHARED)?;
    let buffer = engine.expose(&store)?.0;
    engine.set_global("buffer", &buffer)?;
    engine.evaluate(&format!(
        "globalThis.makeView = () => new DataView(globalThis.buffer, {BEFORE}, {ELEMENTS});
         globalThis.view = makeView(); undefined"
    ))?;
    expect_script!(engine, "String([view.byteLength, view.byteOffset, view.buffer === buffer])", "50,2,true");
    write_natively(&mut *engine, &mut store, BEFORE, &[1, 2, 3, 4])?;
    expect_script!(engine, "String([view.getUint32(0), view.getUint16(2, true), view.getInt8(4)])", "16909060,1027,0");
    engine.evaluate("view.setFloat64(42, 1.5); view.setUint8(0, 300); undefined")?;
    let bytes = store.to_vec()?;
    expect_eq!(bytes[BEFORE + 42..], 1.5_f64.to_be_bytes(), "a number that script wrote at the end, seen natively");
    expect_eq!(bytes[BEFORE], 44, "a byte that script wrote, seen natively");
    let thrown = "[() => view.getUint8(50), () => view.setUint16(49, 1), () => view.getInt8(-1)].map((step) => {
        try { return String(step()); } catch (error) { return error.name; } }).join()";
    expect_script!(engine, thrown, "RangeError,RangeError,RangeError");
    Ok(())
}

fn name_of(kind: usize) -> &'static str {
    KINDS.get(kind).map_or("DataView", |kind| kind.name)
}

fn is<const KIND: usize>(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let name = name_of(KIND);
    engine.evaluate(&format!("globalThis.view = new {name}(new ArrayBuffer(48), 8, 2); undefined"))?;
    let names: Vec<_> = (0..=KINDS.len()).map(name_of).collect();
    let instance_of =
        format!("[{}].filter((Kind) => view instanceof Kind).map((Kind) => Kind.name).join()", names.join(", "));
    expect_script!(engine, &instance_of, name);
    expect_script!(
        engine,
        "String([Object.prototype.toString.call(view), ArrayBuffer.isView(view)])",
        format!("[object {name}],true")
    );
    let seen = engine.evaluate_view("view")?;
    let element_size = KINDS.get(KIND).map_or(1, |kind| kind.element_size);
    expect_eq!((seen.byte_offset, seen.byte_length), (8, 2 * element_size), "offset and length, seen natively");
    expect!(engine.evaluate_view("new ArrayBuffer(8)").is_err(), "a buffer is no view");
    Ok(())
}

fn nothing_attached<const KIND: usize>(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let name = name_of(KIND);
    engine.evaluate(&format!("globalThis.view = new {name}(new ArrayBuffer(0)); undefined"))?;
    expect_script!(engine, "String(Reflect.ownKeys(view).length)", "0");
    let seen = engine.evaluate_view("view")?;
    expect_eq!((seen.byte_offset, seen.byte_length, seen.contents.len()), (0, 0, 0), "what native code sees of it");
    let buffer = engine.evaluate_buffer("view")?;
    expect!(engine.externalize(&buffer)?.byte_length() == 0, "its store is empty");
    Ok(())
}
