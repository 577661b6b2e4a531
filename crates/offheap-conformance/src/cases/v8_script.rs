//! V8's cases that need script.

use offheap_engine::{Engine, ScriptValue};

use super::kit::{settle, store_of, tallied};
use crate::{Capabilities, Case, Failure, Lab};

const SCRIPT: Capabilities = Capabilities::SCRIPT;

pub(super) const CASES: &[Case] = &[
    Case {
        number: "A5",
        name: "a5_array_buffer_js_internal_to_external",
        needs: SCRIPT,
        summary: "Views that script made of its own buffer, before and after it was externalized, are over the \
                  memory that native code sees.",
        run: a5,
    },
    Case {
        number: "A7",
        name: "a7_array_buffer_detaching_api",
        needs: SCRIPT,
        summary: "Nine typed arrays and a DataView lose their lengths and offsets when native code detaches \
                  their buffer. Script makes the views, because no function of an engine does.",
        run: a7,
    },
    Case {
        number: "A8",
        name: "a8_array_buffer_detaching_script",
        needs: SCRIPT,
        summary: "Nine typed arrays and a DataView lose their lengths and offsets when script detaches the \
                  buffer by transferring it. The getters of a DataView then throw.",
        run: a8,
    },
    Case {
        number: "A11",
        name: "a11_array_buffer_externalize_empty",
        needs: SCRIPT,
        summary: "An empty view of a buffer leads to the buffer's own store, and does not change it.",
        run: a11,
    },
    Case {
        number: "A28",
        name: "a28_array_buffer_new_backing_store_null_data",
        needs: SCRIPT,
        summary: "A store without bytes can be exposed: script that writes to it writes nothing, and its reads \
                  coerce to 0. Safe code cannot make a store at address null, so an empty `Vec` replaces it. \
                  Its deleter runs once, where V8 would skip that of a null store.",
        run: a28,
    },
];

const VIEWS: &str = "
    globalThis.views = [
        Uint8Array, Uint8ClampedArray, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array,
        Float64Array,
    ].map((View) => new View(globalThis.buffer, View.BYTES_PER_ELEMENT, 5));
    globalThis.data = new DataView(globalThis.buffer, 1, 7);
    undefined";

/// The views whose offset, length or byte length is not one that `check` allows.
const ODD_VIEWS: &str = "
    globalThis.views.filter((view) => view.length !== LENGTH
        || view.byteLength !== LENGTH * view.BYTES_PER_ELEMENT
        || view.byteOffset !== (LENGTH && view.BYTES_PER_ELEMENT)).map((view) => view.constructor.name).join()";

const DATA_GETTERS: &str = "
    ['byteLength', 'byteOffset'].map((name) => {
        try { return String(globalThis.data[name]); } catch (error) { return error.constructor.name; }
    }).join()";

fn expect_attached_views(engine: &mut dyn Engine) -> Result<(), Failure> {
    expect_script!(engine, &ODD_VIEWS.replace("LENGTH", "5"), "");
    expect_script!(engine, DATA_GETTERS, "7,1");
    Ok(())
}

fn expect_detached_views(engine: &mut dyn Engine) -> Result<(), Failure> {
    expect_script!(engine, "String([globalThis.buffer.byteLength, globalThis.buffer.detached])", "0,true");
    expect_script!(engine, &ODD_VIEWS.replace("LENGTH", "0"), "");
    expect_script!(engine, DATA_GETTERS, "TypeError,TypeError");
    Ok(())
}

fn a5(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.evaluate_buffer(
        "globalThis.made = new ArrayBuffer(2);
         globalThis.before = new Uint8Array(made);
         before[0] = 0x1d; before[1] = 0x1e;
         before.buffer",
    )?;
    settle(&mut *engine);
    let mut store = engine.externalize(&buffer)?;
    expect_eq!(store.to_vec()?, [0x1d, 0x1e], "the bytes that script wrote before, as native code sees them");
    engine.evaluate("globalThis.after = new Uint8Array(made); after[0] = 0x2d; before[1] = 0x2e;")?;
    expect_eq!(
        store.to_vec()?,
        [0x2d, 0x2e],
        "the bytes that script wrote through both views, as native code sees them"
    );
    expect_script!(engine, "String([before[0], after[1]])", "45,46");
    expect!(engine.evaluate_buffer("made").is_ok(), "script still has its buffer");
    expect_eq!(engine.externalize(&buffer)?, store, "the store, asked again");

    engine.detach(&buffer, None)?;
    store.bytes_mut()?.copy_from_slice(&[0x3d, 0x3e]);
    let again = engine.expose(&store)?.0;
    engine.set_global("again", &again)?;
    expect_script!(engine, "String(new Uint8Array(again))", "61,62");
    expect_script!(engine, "String([before.length, after.length])", "0,0");
    Ok(())
}

fn a7(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate(1024, None)?;
    engine.set_global("buffer", &buffer)?;
    engine.evaluate(VIEWS)?;
    expect_attached_views(&mut *engine)?;
    engine.externalize(&buffer)?;
    expect_attached_views(&mut *engine)?;
    engine.detach(&buffer, None)?;
    expect_detached_views(&mut *engine)
}

fn a8(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.evaluate_buffer("globalThis.buffer = new ArrayBuffer(1024)")?;
    engine.evaluate(VIEWS)?;
    expect_attached_views(&mut *engine)?;
    engine.evaluate("buffer.transfer(); undefined")?;
    expect_detached_views(&mut *engine)?;
    expect!(engine.state(&buffer)?.detached, "native code sees that script detached the buffer");
    Ok(())
}

fn a11(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.evaluate_buffer(
        "globalThis.buffer = new ArrayBuffer(2); new Uint8Array(buffer).fill(3); globalThis.empty = new Uint8Array(buffer, 0, 0)",
    )?;
    let store = engine.externalize(&buffer)?;
    expect_eq!(store.byte_length(), 2, "the length of the store behind an empty view");
    let through_view = engine.evaluate_buffer("empty")?;
    expect_eq!(engine.externalize(&through_view)?, store, "the store, taken through the empty view again");
    expect_script!(engine, "String([empty.length, empty.buffer === buffer, buffer.byteLength])", "0,true,2");
    expect_eq!(store.to_vec()?, [3, 3], "the bytes");
    Ok(())
}

fn a28(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(Vec::new())?;
    expect!(!store.as_ptr().is_null(), "the address of a store without bytes is not null");
    let buffer = engine.expose(&store)?.0;
    engine.set_global("buffer", &buffer)?;
    let value = engine.evaluate("globalThis.view = new Int32Array(buffer); view[0] = 19; view[0] | 0")?;
    expect_eq!(value, ScriptValue::Number(0.0), "`view[0] | 0`");
    expect_eq!(engine.externalize(&buffer)?, store, "the store that comes back");
    engine.detach(&buffer, None)?;
    drop(store);
    expect_eq!(tally.count(), 1, "calls of the deleter of a store without bytes");
    let other = store_of(Vec::new())?;
    expect!(engine.expose(&other)?.1.is_external(), "another store without bytes is exposed without a copy");
    Ok(())
}
