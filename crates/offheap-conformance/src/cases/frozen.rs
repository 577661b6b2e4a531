//! Promises about read-only memory, and about script.

use std::sync::Arc;

use offheap_engine::offheap::{BackingStore, FrozenStore, MapMode, Mapped};
use offheap_engine::{Engine, Error, ScriptValue};

use super::kit::{present_bytes, settle, store_of, tallied};
use crate::{Capabilities, Case, Failure, Lab};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "P-FROZEN-1",
        name: "p_frozen_memory_is_never_written",
        needs: Capabilities::empty(),
        summary: "Frozen memory is exposed as an immutable buffer, or as a reported copy. Writing to either \
                  never changes the memory.",
        run: never_written,
    },
    Case {
        number: "P-FROZEN-2",
        name: "p_frozen_immutable_buffers_refuse_every_verb",
        needs: Capabilities::IMMUTABLE,
        summary: "An immutable buffer cannot be written, detached or transferred. Collecting it releases the memory.",
        run: immutable_refuses,
    },
    Case {
        number: "P-FROZEN-3",
        name: "p_frozen_a_mapped_file_is_never_written",
        needs: Capabilities::IMMUTABLE,
        summary: "Exposing a file that is mapped read-only as an immutable buffer or a reported copy never \
                  lets script write to the mapping, which would end the process.",
        run: mapped_file,
    },
    Case {
        number: "P-FROZEN-4",
        name: "p_frozen_script_cannot_write",
        needs: Capabilities::SCRIPT.union(Capabilities::IMMUTABLE),
        summary: "No operation of script changes the bytes of an immutable buffer. Methods that would write \
                  them throw.",
        run: script_cannot_write,
    },
    Case {
        number: "P-FROZEN-5",
        name: "p_frozen_assignments_of_strict_script_throw",
        needs: Capabilities::SCRIPT.union(Capabilities::IMMUTABLE),
        summary: "In strict mode, assigning to an element of an immutable buffer throws a TypeError, and so do \
                  methods that assign or define. In sloppy mode the assignment is ignored.",
        run: strict_assignments,
    },
    Case {
        number: "P-SCRIPT-1",
        name: "p_script_errors_and_values",
        needs: Capabilities::SCRIPT,
        summary: "Script that throws or does not parse is an error with its message. Values are returned with \
                  their types.",
        run: errors_and_values,
    },
    Case {
        number: "P-SCRIPT-2",
        name: "p_script_a_global_keeps_a_buffer",
        needs: Capabilities::SCRIPT,
        summary: "A buffer that script can reach stays alive, with or without a handle, until script drops it.",
        run: global_keeps_a_buffer,
    },
    Case {
        number: "P-SCRIPT-3",
        name: "p_script_transfer_moves_the_store",
        needs: Capabilities::SCRIPT,
        summary: "Script that transfers a buffer moves its store; script that detaches a buffer releases its store.",
        run: script_transfers,
    },
    Case {
        number: "P-SCRIPT-4",
        name: "p_script_length_tracking_views_survive_externalizing",
        needs: Capabilities::SCRIPT.union(Capabilities::RESIZABLE),
        summary: "A view that tracks the length of a resizable buffer does so before and after externalizing, \
                  and shares its bytes with native code.",
        run: length_tracking_views,
    },
];

/// Bytes with the alignment of every element type, in case an engine requires it.
fn frozen_words() -> Result<FrozenStore, Failure> {
    Ok(FrozenStore::from_owner(Arc::<[u64]>::from([0x0706_0504_0302_0100; 8]))?)
}

fn never_written(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let frozen = frozen_words()?;
    let expected = frozen.to_vec();
    let (buffer, exposure) = engine.expose(&frozen.clone().into())?;
    let can = engine.capabilities().contains(Capabilities::IMMUTABLE);
    expect_eq!(exposure.is_external(), can, "whether an engine that has immutable buffers ({can}) gets the memory");
    expect_eq!(engine.state(&buffer)?.immutable, can, "whether the buffer is immutable");
    match engine.write(&buffer, 0, 0xff) {
        Ok(()) => expect!(!can, "an immutable buffer is not written"),
        Err(error) => expect!(matches!(error, Error::Immutable { .. }) && can, "the write works, and not: {error}"),
    }
    expect_eq!(frozen.to_vec(), expected, "the frozen bytes after a write");
    Ok(())
}

fn refuses(engine: &mut dyn Engine, store: &BackingStore) -> Result<(), Failure> {
    let (buffer, exposure) = engine.expose(store)?;
    expect!(exposure.is_external(), "the engine gets the memory itself");
    let before = store.to_vec()?;
    expect_eq!(engine.read(&buffer, 1)?, Some(before[1]), "a byte that script reads");
    expect_error!(engine.write(&buffer, 1, !before[1]), Error::Immutable { .. }, "writing");
    expect_error!(engine.detach(&buffer, None), Error::Immutable { .. }, "detaching");
    expect_error!(engine.transfer(&buffer, None), Error::Immutable { .. }, "transferring");
    expect_error!(engine.transfer(&buffer, Some(1)), Error::Immutable { .. }, "transferring to another length");
    let state = engine.state(&buffer)?;
    expect!(state.immutable && !state.detached, "the buffer is immutable and not detached: {state:?}");
    expect_eq!(engine.externalize(&buffer)?, *store, "the store that comes back");
    expect_eq!(store.to_vec()?, before, "the bytes after all that");
    drop(buffer);
    settle(engine);
    Ok(())
}

fn immutable_refuses(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let frozen = frozen_words()?;
    refuses(&mut *engine, &frozen.clone().into())?;
    expect_eq!(frozen.reference_count(), 1, "references after the collection");
    Ok(())
}

fn mapped_file(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    // A file that exists wherever the suite runs.
    let mapped = Mapped::open(std::env::current_exe()?, MapMode::ReadOnly)?;
    let before = engine.external_bytes();
    let part = mapped.store().slice(..mapped.byte_length().min(4096))?;
    let buffer = engine.expose(&part)?.0;
    expect_eq!(engine.external_bytes(), before, "external bytes with a buffer over a mapped file");
    drop(buffer);
    refuses(&mut *engine, &part)
}

/// Each is a function body with `view` (a `Uint8Array` over the buffer), `wide` (a `BigInt64Array`), `data` (a
/// `DataView`) and `buffer`. The bodies in this list throw on every engine that has the method.
const THROWING_WRITES: &[&str] = &[
    "view.fill(9)",
    "view.set([9])",
    "view.set(new Uint8Array([9]), 1)",
    "view.sort((a, b) => b - a)",
    "view.reverse()",
    "view.copyWithin(0, 1)",
    "view.subarray(1).fill(9)",
    "data.setInt8(0, 9)",
    "data.setUint8(0, 9)",
    "data.setInt16(0, 9)",
    "data.setUint16(0, 9)",
    "data.setInt32(0, 9)",
    "data.setUint32(0, 9)",
    "data.setFloat32(0, 9)",
    "data.setFloat64(0, 9)",
    "data.setBigInt64(0, 9n)",
    "data.setBigUint64(0, 9n)",
    "Atomics.add(view, 0, 9)",
    "Atomics.and(view, 1, 0)",
    "Atomics.compareExchange(view, 0, 0, 9)",
    "Atomics.exchange(view, 0, 9)",
    "Atomics.or(view, 0, 9)",
    "Atomics.store(view, 0, 9)",
    "Atomics.sub(view, 0, 9)",
    "Atomics.xor(view, 0, 9)",
    "Atomics.store(wide, 0, 9n)",
    "Atomics.add(wide, 0, 9n)",
    "buffer.transfer()",
    "buffer.transferToFixedLength()",
    "buffer.resize(0)",
];

/// These assign in strict mode, or with the same effect: the engine reports that an element cannot be set, and they
/// throw.
const STRICT_ASSIGNMENTS: &[&str] = &[
    "'use strict'; view[0] = 9",
    "'use strict'; wide[0] = 9n",
    "'use strict'; view[0]++",
    "'use strict'; [view[0]] = [9]",
    "Array.prototype.fill.call(view, 9)",
    "Array.prototype.reverse.call(view)",
    "Object.assign(view, [9])",
    "Object.defineProperty(view, 0, { value: 9 })",
];

/// These may throw or do nothing.
const SILENT_WRITES: &[&str] = &[
    "view[0] = 9",
    "wide[0] = 9n",
    "view[0]++",
    "Reflect.set(view, 0, 9)",
    "Reflect.defineProperty(view, 0, { value: 9 })",
    "[view[0], view[1]] = [9, 9]",
    "if (view.setFromHex) view.setFromHex('0909')",
    "if (view.setFromBase64) view.setFromBase64('CQkJ')",
    "if (data.setFloat16) data.setFloat16(0, 9)",
    "with (view) { 0 in view && (view[0] = 9) }",
    "new TextEncoder().encodeInto('aaaa', view)",
    "for (view[0] of [9]) ;",
];

const TRIED: &str = "
    globalThis.tried = (source) => {
        const view = new Uint8Array(buffer), wide = new BigInt64Array(buffer), data = new DataView(buffer);
        try {
            new Function('buffer', 'view', 'wide', 'data', source)(buffer, view, wide, data);
            return 'returned';
        } catch (error) { return error.constructor.name; }
    };
    undefined";

fn script_cannot_write(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let frozen = frozen_words()?;
    let before = frozen.to_vec();
    let buffer = engine.expose(&frozen.clone().into())?.0;
    engine.set_global("buffer", &buffer)?;
    engine.evaluate(TRIED)?;
    let throwing = THROWING_WRITES.iter().map(|source| (source, true));
    let silent = SILENT_WRITES.iter().chain(STRICT_ASSIGNMENTS).map(|source| (source, false));
    for (source, throws) in throwing.chain(silent) {
        let seen = super::kit::text(&mut *engine, &format!("tried({source:?})"))?;
        expect_eq!(frozen.to_vec(), before, "the frozen bytes after `{source}`");
        if throws {
            expect_eq!(seen, "TypeError", "what `{source}` throws");
        }
    }
    let state = engine.state(&buffer)?;
    expect!(state.immutable && !state.detached, "the buffer is immutable and not detached: {state:?}");
    expect_script!(
        engine,
        "String([buffer.immutable, buffer.byteLength, Atomics.load(new Uint8Array(buffer), 1)])",
        "true,64,1"
    );
    Ok(())
}

fn strict_assignments(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let frozen = frozen_words()?;
    let buffer = engine.expose(&frozen.into())?.0;
    engine.set_global("buffer", &buffer)?;
    engine.evaluate(TRIED)?;
    expect_script!(engine, "tried('view[0] = 9')", "returned");
    for source in STRICT_ASSIGNMENTS {
        expect_script!(engine, &format!("tried({source:?})"), "TypeError");
    }
    Ok(())
}

fn errors_and_values(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let thrown = engine.evaluate("throw new RangeError('too far')");
    expect_error!(thrown, Error::Script(error) if error.message().contains("RangeError: too far"), "a thrown error");
    expect_error!(engine.evaluate("let = ;"), Error::Script { .. }, "script that does not parse");
    for not_a_buffer in ["1", "undefined", "({})", "[1, 2]", "'text'"] {
        let refused = engine.evaluate_buffer(not_a_buffer);
        expect_error!(refused, Error::NotAnArrayBuffer { .. }, "`{not_a_buffer}` as a buffer");
    }
    let values = [
        ("undefined", ScriptValue::Undefined),
        ("null", ScriptValue::Null),
        ("1 < 2", ScriptValue::Boolean(true)),
        ("0.5 + 2", ScriptValue::Number(2.5)),
        ("'a' + 'b'", ScriptValue::String("ab".to_owned())),
    ];
    for (source, expected) in values {
        expect_eq!(engine.evaluate(source)?, expected, "`{source}`");
    }
    engine.evaluate("globalThis.later = 1; Promise.resolve().then(() => { globalThis.later = 2; }); undefined")?;
    expect_eq!(
        engine.evaluate("later")?,
        ScriptValue::Number(2.0),
        "the value that a microtask of the previous script set"
    );
    Ok(())
}

fn global_keeps_a_buffer(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(vec![6; 64])?;
    let buffer = engine.expose(&store)?.0;
    engine.set_global("kept", &buffer)?;
    drop((buffer, store));
    settle(&mut *engine);
    expect_eq!(tally.count(), 0, "calls of the deleter while script has the buffer");
    expect_script!(engine, "globalThis.view = new Uint8Array(kept); String(view[63])", "6");
    engine.evaluate("kept = undefined")?;
    settle(&mut *engine);
    expect_script!(engine, "String(view[63])", "6");
    let again = engine.evaluate_buffer("view")?;
    expect_eq!(engine.externalize(&again)?.byte_length(), 64, "the length of the store behind the view");
    drop(again);
    engine.evaluate("view = undefined")?;
    settle(&mut *engine);
    expect_eq!(tally.count(), 1, "calls of the deleter after script dropped the buffer");
    Ok(())
}

fn script_transfers(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let store = store_of(vec![1, 2, 3, 4])?;
    let buffer = engine.expose(&store)?.0;
    engine.set_global("source", &buffer)?;
    let moved = engine.evaluate_buffer("globalThis.target = source.transfer()")?;
    expect_eq!(engine.externalize(&moved)?, store, "the store of the target");
    expect!(engine.state(&buffer)?.detached, "the source is detached");
    let fixed = engine.evaluate_buffer("globalThis.fixed = target.transferToFixedLength()")?;
    expect_eq!(engine.externalize(&fixed)?, store, "the store of the fixed-length target");
    let longer = engine.evaluate_buffer("globalThis.longer = fixed.transfer(8)")?;
    let copy = engine.externalize(&longer)?;
    expect!(copy != store, "a longer target has its own store");
    expect_eq!(copy.to_vec()?, [1, 2, 3, 4, 0, 0, 0, 0], "its bytes");
    expect_eq!(store.exposure(), None, "the exposure of the store that was copied");
    Ok(())
}

fn length_tracking_views(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.evaluate_buffer(
        "globalThis.buffer = new ArrayBuffer(4, { maxByteLength: 64 });
         globalThis.tracking = new Uint8Array(buffer);
         globalThis.window = new Uint8Array(buffer, 2, 2);
         tracking.set([1, 2, 3, 4]);
         buffer",
    )?;
    let store = engine.externalize(&buffer)?;
    expect_script!(engine, "String([tracking, window])", "1,2,3,4,3,4");
    engine.resize(&buffer, 6)?;
    expect_script!(engine, "tracking[5] = 6; String([tracking.length, window.length, tracking])", "6,2,1,2,3,4,0,6");
    let bytes = present_bytes(&mut *engine, &buffer, &store)?;
    expect_eq!(bytes, [1, 2, 3, 4, 0, 6], "the bytes, seen natively");
    expect_script!(engine, "buffer.resize(3); String([tracking.length, window.length])", "3,0");
    expect_eq!(store.byte_length(), 3, "the store's length after script resized the buffer");
    expect_script!(engine, "buffer.resize(8); String([tracking, window])", "1,2,3,0,0,0,0,0,3,0");
    Ok(())
}
