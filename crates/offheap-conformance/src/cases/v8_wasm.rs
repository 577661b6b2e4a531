//! V8's cases of WebAssembly memories.

use offheap_engine::{Engine, Error, Handle, JsArrayBuffer, ManuallyExternalizedBuffer, ScriptValue};

use super::kit::settle;
use crate::{Capabilities, Case, Failure, Lab};

const WASM: Capabilities = Capabilities::SCRIPT.union(Capabilities::WASM);

/// The size of a page of a WebAssembly memory in bytes.
const PAGE: usize = 65_536;

pub(super) const CASES: &[Case] = &[
    Case {
        number: "M2",
        name: "m2_run_wasm_module_buffer_externalized_regression_use_after_free",
        needs: WASM,
        summary: "Growing by zero pages detaches the old buffer. After the reference to its store is dropped, \
                  the memory behind the new buffer can still be written.",
        run: m2,
    },
    Case {
        number: "M3",
        name: "m3_run_wasm_module_buffer_externalized_grow_mem_mem_size",
        needs: WASM,
        summary: "Growing by zero pages returns the old number of pages, gives the memory a new buffer, and \
                  detaches the externalized one.",
        run: m3,
    },
    Case {
        number: "M4",
        name: "m4_run_wasm_module_buffer_externalized_grow_mem",
        needs: WASM,
        summary: "Script and an instruction of the module can both grow a memory. Each detaches the buffer \
                  that was externalized before.",
        run: m4,
    },
    Case {
        number: "M5",
        name: "m5_grow_mem_detaches",
        needs: WASM,
        summary: "Growing by zero pages detaches a buffer whose store was never externalized.",
        run: m5,
    },
    Case {
        number: "M6",
        name: "m6_backing_store_reclaim",
        needs: WASM,
        summary: "Unreachable memories return their reserved addresses: 256 of them are made in turn.",
        run: m6,
    },
    Case {
        number: "A10",
        name: "a10_array_buffer_non_detachable_was_detached",
        needs: WASM,
        summary: "The buffer of a WebAssembly memory cannot be detached or transferred, by script or native \
                  code. Growing the memory detaches it.",
        run: a10,
    },
    Case {
        number: "B1",
        name: "b1_grow_wasm_memory_in_place",
        needs: WASM,
        summary: "A memory of one page grows to its maximum of two, returns the old page count of one, and \
                  stays at its address: the store of the new buffer is the store that was externalized before.",
        run: b1,
    },
    Case {
        number: "B2",
        name: "b2_grow_wasm_memory_in_place_neg",
        needs: WASM,
        summary: "A memory does not grow beyond its maximum, and keeps its length and buffer.",
        run: b2,
    },
    Case {
        number: "B3",
        name: "b3_grow_shared_wasm_memory_in_place",
        needs: Capabilities::SCRIPT.union(Capabilities::WASM).union(Capabilities::SHARED),
        summary: "A shared memory grows in place: its store has the new length, and the old buffer keeps the old one.",
        run: b3,
    },
    Case {
        number: "B4",
        name: "b4_copy_wasm_memory",
        needs: WASM,
        summary: "A memory without a maximum grows, even if its engine moves it: the new buffer begins with \
                  the old bytes, and an earlier reference still reads them. No public function copies a \
                  memory, so growing replaces the copy of V8's test.",
        run: b4,
    },
];

fn memory(engine: &mut dyn Engine, descriptor: &str) -> Result<Handle<JsArrayBuffer>, Failure> {
    let source = format!("globalThis.memory = new WebAssembly.Memory({descriptor}); globalThis.first = memory.buffer");
    Ok(engine.evaluate_buffer(&source)?)
}

fn expect_number(engine: &mut dyn Engine, source: &str, expected: f64) -> Result<(), Failure> {
    expect_eq!(engine.evaluate(source)?, ScriptValue::Number(expected), "`{source}`");
    Ok(())
}

/// Checks that growing detached this buffer, and that `memory` has another one.
fn expect_outgrown(engine: &mut dyn Engine, old: &Handle<JsArrayBuffer>) -> Result<(), Failure> {
    let state = engine.state(old)?;
    expect!(state.detached && state.byte_length == 0, "the old buffer is detached: {state:?}");
    engine.set_global("old", old)?;
    expect_script!(engine, "String([old === memory.buffer, old.byteLength, memory.buffer.detached])", "false,0,false");
    Ok(())
}

fn m2(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let external = ManuallyExternalizedBuffer::new(memory(&mut *engine, "{ initial: 1, maximum: 1 }")?)?;
    expect_eq!(external.store().byte_length(), PAGE, "the store's length");
    expect_number(&mut *engine, "memory.grow(0)", 1.0)?;
    expect_outgrown(&mut *engine, external.buffer())?;
    drop(external);
    engine.evaluate("first = old = undefined")?;
    settle(&mut *engine);
    engine.evaluate("new Uint32Array(memory.buffer).fill(7)")?;
    let current = engine.evaluate_buffer("memory.buffer")?;
    let bytes = engine.externalize(&current)?.to_vec()?;
    expect_eq!(bytes.len(), PAGE, "the length of the new buffer's store");
    expect!(
        bytes.chunks(4).all(|element| element == 7_u32.to_ne_bytes()),
        "native code sees the bytes that script wrote"
    );
    Ok(())
}

fn m3(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let external = ManuallyExternalizedBuffer::new(memory(&mut *engine, "{ initial: 16, maximum: 100 }")?)?;
    expect_number(&mut *engine, "memory.grow(0)", 16.0)?;
    expect_outgrown(&mut *engine, external.buffer())?;
    settle(&mut *engine);
    expect_number(&mut *engine, "memory.buffer.byteLength", (16 * PAGE) as f64)
}

fn m4(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    // (module (memory (export "memory") 16 100)
    //   (func (export "main") (result i32) (drop (memory.grow (i32.const 6))) (memory.size)))
    let buffer = engine.evaluate_buffer(
        "globalThis.instance = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([
             0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
             1, 5, 1, 0x60, 0, 1, 0x7f,
             3, 2, 1, 0,
             5, 4, 1, 1, 16, 100,
             7, 17, 2, 6, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 2, 0, 4, 0x6d, 0x61, 0x69, 0x6e, 0, 0,
             10, 11, 1, 9, 0, 0x41, 6, 0x40, 0, 0x1a, 0x3f, 0, 0x0b,
         ])));
         globalThis.memory = instance.exports.memory;
         memory.buffer",
    )?;
    let before = ManuallyExternalizedBuffer::new(buffer)?;
    expect_number(&mut *engine, "memory.grow(4)", 16.0)?;
    expect_outgrown(&mut *engine, before.buffer())?;
    let between = ManuallyExternalizedBuffer::new(engine.evaluate_buffer("memory.buffer")?)?;
    expect_number(&mut *engine, "instance.exports.main()", 26.0)?;
    expect_outgrown(&mut *engine, between.buffer())?;
    expect_number(&mut *engine, "memory.buffer.byteLength", (26 * PAGE) as f64)
}

fn m5(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = memory(&mut *engine, "{ initial: 16, maximum: 100 }")?;
    expect_number(&mut *engine, "memory.grow(0)", 16.0)?;
    expect_outgrown(&mut *engine, &buffer)
}

fn m6(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    for _ in 0..256 {
        let buffer = memory(&mut *engine, "{ initial: 1, maximum: 1 }")?;
        expect_eq!(engine.externalize(&buffer)?.byte_length(), PAGE, "the length of one more memory's store");
    }
    Ok(())
}

fn a10(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = memory(&mut *engine, "{ initial: 1, maximum: 2 }")?;
    expect_error!(engine.detach(&buffer, None), Error::NotDetachable { .. }, "detaching a memory's buffer");
    expect_error!(engine.transfer(&buffer, None).map(drop), Error::NotDetachable { .. }, "transferring it");
    let thrown = "(() => { try { first.transfer(); return 'nothing'; } catch (error) { return error.name; } })()";
    expect_script!(engine, thrown, "TypeError");
    let state = engine.state(&buffer)?;
    expect!(!state.detached && state.byte_length == PAGE, "the buffer is as it was: {state:?}");
    expect_number(&mut *engine, "memory.grow(1)", 1.0)?;
    expect_outgrown(&mut *engine, &buffer)?;
    let current = engine.evaluate_buffer("memory.buffer")?;
    expect_error!(engine.detach(&current, None), Error::NotDetachable { .. }, "detaching the memory's new buffer");
    Ok(())
}

fn b1(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = memory(&mut *engine, "{ initial: 1, maximum: 2 }")?;
    let before = engine.externalize(&buffer)?;
    engine.evaluate("new Uint8Array(first)[5] = 5")?;
    expect_number(&mut *engine, "memory.grow(1)", 1.0)?;
    let current = engine.evaluate_buffer("memory.buffer")?;
    let after = engine.externalize(&current)?;
    expect_eq!(after.byte_length(), 2 * PAGE, "the length of the new buffer's store");
    expect_eq!(after.as_ptr(), before.as_ptr(), "its address");
    expect_eq!(after, before, "the new buffer's store");
    expect_eq!(engine.read(&current, 5)?, Some(5), "the byte that was written before");
    expect_eq!(engine.read(&current, 2 * PAGE - 1)?, Some(0), "the last byte of the new page");
    Ok(())
}

const GROWN_TOO_FAR: &str = "(() => { try { return memory.grow(2); } catch (error) { return error.name; } })()";

fn b2(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = memory(&mut *engine, "{ initial: 1, maximum: 2 }")?;
    let store = engine.externalize(&buffer)?;
    expect_script!(engine, GROWN_TOO_FAR, "RangeError");
    let state = engine.state(&buffer)?;
    expect!(!state.detached && state.byte_length == PAGE, "the buffer is as it was: {state:?}");
    expect_script!(engine, "String(memory.buffer === first)", "true");
    expect_eq!(store.byte_length(), PAGE, "the store's length");
    Ok(())
}

fn b3(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = memory(&mut *engine, "{ initial: 2, maximum: 3, shared: true }")?;
    let store = engine.externalize(&buffer)?;
    expect_eq!(store.byte_length(), 2 * PAGE, "the store's length");
    expect_number(&mut *engine, "memory.grow(1)", 2.0)?;
    let current = engine.evaluate_buffer("memory.buffer")?;
    let state = engine.state(&current)?;
    expect!(state.shared && state.byte_length == 3 * PAGE, "the new buffer is shared, with three pages: {state:?}");
    expect_eq!(engine.externalize(&current)?, store, "the new buffer's store");
    expect_eq!(store.byte_length(), 3 * PAGE, "the store's length after growing");
    let old = engine.state(&buffer)?;
    expect!(!old.detached && old.byte_length == 2 * PAGE, "the old buffer is as it was: {old:?}");
    expect_script!(engine, GROWN_TOO_FAR, "RangeError");
    engine.write(&current, 3 * PAGE - 1, 3)?;
    expect_eq!(store.to_vec()?.last(), Some(&3), "the last byte, seen natively");
    Ok(())
}

fn b4(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = memory(&mut *engine, "{ initial: 2 }")?;
    let before = engine.externalize(&buffer)?;
    engine.evaluate("new Uint8Array(first).fill(9)")?;
    expect_number(&mut *engine, "memory.grow(1)", 2.0)?;
    let current = engine.evaluate_buffer("memory.buffer")?;
    let after = engine.externalize(&current)?.to_vec()?;
    expect_eq!(after.len(), 3 * PAGE, "the length of the new buffer's store");
    expect!(after[..2 * PAGE].iter().all(|&byte| byte == 9), "the old bytes are there");
    expect!(after[2 * PAGE..].iter().all(|&byte| byte == 0), "the new bytes are zero");
    let kept = before.to_vec()?;
    expect!(kept.len() >= 2 * PAGE, "the reference from before has as many bytes: {}", kept.len());
    expect!(kept[..2 * PAGE].iter().all(|&byte| byte == 9), "the reference from before reads the old bytes");
    Ok(())
}
