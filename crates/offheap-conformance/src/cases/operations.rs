//! Promises about the effects of operations on memory: transfer, resize, detach, externalize, and the byte counts.

use offheap_engine::offheap::{self, Length};
use offheap_engine::{Engine, Error, Handle, JsArrayBuffer};

use super::kit::{present_bytes, settle, store_of, tallied};
use crate::{Capabilities, Case, Failure, Lab};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "P-TRANSFER-1",
        name: "p_transfer_to_the_same_length_moves_the_store",
        needs: Capabilities::empty(),
        summary: "Transferring a buffer to the same length moves its store: same store, same address, and \
                  native references still share the bytes. The source is detached.",
        run: transfer_same,
    },
    Case {
        number: "P-TRANSFER-2",
        name: "p_transfer_to_another_length_copies",
        needs: Capabilities::empty(),
        summary: "Transferring a fixed-length buffer to another length copies its bytes, cut off or padded \
                  with zeros. The source is detached, and native references keep the old store.",
        run: transfer_other,
    },
    Case {
        number: "P-TRANSFER-3",
        name: "p_transfer_to_zero_is_empty",
        needs: Capabilities::empty(),
        summary: "Transferring a buffer to length 0 releases its store. The target is empty, and has none of \
                  the store's memory.",
        run: transfer_zero,
    },
    Case {
        number: "P-TRANSFER-4",
        name: "p_transfer_of_a_detached_buffer_fails",
        needs: Capabilities::empty(),
        summary: "A detached buffer cannot be transferred, read or written.",
        run: transfer_detached,
    },
    Case {
        number: "P-TRANSFER-5",
        name: "p_transfer_keeps_a_buffer_resizable",
        needs: Capabilities::RESIZABLE,
        summary: "A resizable buffer stays resizable when it is transferred. It keeps its maximum, which the \
                  new length must not exceed.",
        run: transfer_resizable,
    },
    Case {
        number: "P-NO-MOVE-1",
        name: "p_no_move_across_resizing",
        needs: Capabilities::RESIZABLE,
        summary: "Resizing within the maximum keeps the address and the sharing. Bytes that shrinking cut off \
                  are zero after growing again.",
        run: no_move,
    },
    Case {
        number: "P-RESIZE-1",
        name: "p_resize_refusals",
        needs: Capabilities::RESIZABLE,
        summary: "A buffer cannot be resized beyond its maximum, without a maximum, or when it is detached.",
        run: resize_refusals,
    },
    Case {
        number: "P-DETACH-1",
        name: "p_detach_is_idempotent_and_leaves_the_store",
        needs: Capabilities::empty(),
        summary: "Detaching empties the buffer and keeps the store. Detaching again does nothing. \
                  Externalizing a detached buffer returns a new, empty store each time.",
        run: detach,
    },
    Case {
        number: "P-TAKE-1",
        name: "p_take_gives_the_memory_to_native_code_alone",
        needs: Capabilities::empty(),
        summary: "Taking the memory of a buffer detaches the buffer. Native code has the bytes alone: the owner of a \
                  store comes back, and the bytes may be written and exposed again. Nothing counts as external.",
        run: take,
    },
    Case {
        number: "P-TAKE-2",
        name: "p_take_is_refused_while_others_have_the_memory",
        needs: Capabilities::empty(),
        summary: "The memory of a buffer is not taken while a reference, a weak reference or another buffer has it. \
                  The buffer is as it was.",
        run: take_refused,
    },
    Case {
        number: "P-DETACH-KEY-1",
        name: "p_detach_key_is_needed_to_detach_and_transfer",
        needs: Capabilities::DETACH_KEYS,
        summary: "A buffer with a detach key can be detached only with that key, and cannot be transferred \
                  until the key is removed.",
        run: detach_key,
    },
    Case {
        number: "P-EXTERNALIZE-1",
        name: "p_externalize_memory_of_every_size",
        needs: Capabilities::empty(),
        summary: "Buffers of every size that the engine made externalize to stores with their bytes, to the \
                  same store each time, and keep sharing with script.",
        run: externalize_sizes,
    },
    Case {
        number: "P-ACCOUNTED-1",
        name: "p_accounted_each_store_once_while_it_is_exposed",
        needs: Capabilities::empty(),
        summary: "External bytes are the bytes of all stores with live buffers. Each store counts once.",
        run: accounted,
    },
    Case {
        number: "P-TOO-LARGE-1",
        name: "p_too_large_is_an_error",
        needs: Capabilities::empty(),
        summary: "Exposing or allocating more bytes than the engine accepts is an error that names the limit.",
        run: too_large,
    },
];

fn fill(engine: &mut dyn Engine, buffer: &Handle<JsArrayBuffer>, bytes: &[u8]) -> Result<(), Failure> {
    for (index, byte) in bytes.iter().enumerate() {
        engine.write(buffer, index, *byte)?;
    }
    Ok(())
}

/// All bytes that script reads.
fn contents(engine: &mut dyn Engine, buffer: &Handle<JsArrayBuffer>) -> Result<Vec<u8>, Failure> {
    let byte_length = engine.state(buffer)?.byte_length;
    expect_eq!(engine.read(buffer, byte_length)?, None, "the value that script reads past the end");
    let bytes = (0..byte_length).map(|index| engine.read(buffer, index)).collect::<Result<Option<Vec<u8>>, _>>()?;
    bytes.ok_or_else(|| Failure::new(format!("expected {byte_length} bytes, saw `undefined` among them")))
}

fn transfer_same(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let store = store_of(vec![1, 2, 3, 4])?;
    let address = store.as_ptr();
    let mut buffer = engine.expose(&store)?.0;
    for byte_length in [None, Some(4)] {
        let target = engine.transfer(&buffer, byte_length)?;
        expect!(engine.state(&buffer)?.detached, "the source of a transfer to {byte_length:?} is detached");
        let moved = engine.externalize(&target)?;
        expect_eq!(moved, store, "the target's store");
        expect_eq!(moved.as_ptr(), address, "its address");
        buffer = target;
    }
    engine.write(&buffer, 0, 9)?;
    expect_eq!(store.to_vec()?, [9, 2, 3, 4], "the bytes that script wrote to the target, as native code sees them");
    expect_eq!(store.exposure(), Some((engine.isolate(), 1)), "the exposure: the sources are detached");

    let made = engine.allocate(64, None)?;
    engine.write(&made, 5, 5)?;
    let of_the_engine = engine.externalize(&made)?;
    let target = engine.transfer(&made, None)?;
    expect_eq!(engine.externalize(&target)?, of_the_engine, "the store that moved with an engine-made buffer");
    Ok(())
}

fn transfer_other(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    for (byte_length, expected) in [(6, vec![1, 2, 3, 4, 0, 0]), (2, vec![1, 2])] {
        let store = store_of(vec![1, 2, 3, 4])?;
        let exposed = engine.expose(&store)?.0;
        let made = engine.allocate(4, None)?;
        fill(&mut *engine, &made, &[1, 2, 3, 4])?;
        for source in [exposed, made] {
            let target = engine.transfer(&source, Some(byte_length))?;
            expect!(engine.state(&source)?.detached, "the source of a transfer to {byte_length} is detached");
            expect_eq!(contents(&mut *engine, &target)?, expected, "the target's bytes");
            let copy = engine.externalize(&target)?;
            expect!(copy != store, "the target has its own store");
            expect_eq!(copy.byte_length(), byte_length, "the length of the target's store");
            engine.write(&target, 0, 7)?;
            expect_eq!(copy.to_vec()?[0], 7, "the byte that script wrote to the target");
        }
        expect_eq!(store.to_vec()?, [1, 2, 3, 4], "the bytes of the old store");
        expect_eq!(store.exposure(), None, "the exposure of the old store");
    }
    Ok(())
}

fn transfer_zero(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(vec![1; 16])?;
    let source = engine.expose(&store)?.0;
    let target = engine.transfer(&source, Some(0))?;
    expect!(engine.state(&source)?.detached, "the source is detached");
    let state = engine.state(&target)?;
    expect_eq!((state.byte_length, state.detached), (0, false), "the target's length, and whether it is detached");
    expect!(engine.externalize(&target)? != store, "the target is not over the old store");
    expect_eq!(store.exposure(), None, "the exposure of the old store");
    drop(store);
    expect_eq!(tally.count(), 1, "calls of the deleter of the old store");
    Ok(())
}

fn transfer_detached(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate(16, None)?;
    engine.detach(&buffer, None)?;
    expect_error!(engine.transfer(&buffer, None), Error::Detached { .. }, "transferring it");
    expect_error!(engine.transfer(&buffer, Some(4)), Error::Detached { .. }, "transferring it to another length");
    expect_error!(engine.read(&buffer, 0), Error::Detached { .. }, "reading it");
    expect_error!(engine.write(&buffer, 0, 1), Error::Detached { .. }, "writing it");
    Ok(())
}

fn transfer_resizable(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let source = engine.allocate(4, Some(16))?;
    fill(&mut *engine, &source, &[1, 2, 3, 4])?;
    engine.externalize(&source)?;
    let refused = engine.transfer(&source, Some(17));
    expect_error!(refused, Error::InvalidLength { requested: 17, .. }, "transferring it to more than its maximum");
    expect!(!engine.state(&source)?.detached, "the source of a refused transfer is not detached");
    let target = engine.transfer(&source, Some(6))?;
    let state = engine.state(&target)?;
    expect_eq!((state.byte_length, state.max_byte_length, state.resizable), (6, 16, true), "the target's state");
    expect_eq!(contents(&mut *engine, &target)?, [1, 2, 3, 4, 0, 0], "the target's bytes");
    let state = engine.state(&source)?;
    expect_eq!((state.byte_length, state.max_byte_length, state.detached), (0, 0, true), "the source's state");
    engine.resize(&target, 16)?;
    expect_eq!(engine.read(&target, 15)?, Some(0), "the last byte after growing the target");
    Ok(())
}

fn no_move(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    for (byte_length, max_byte_length) in [(4, 16), (0, 8), (1000, 100_000)] {
        let buffer = engine.allocate(byte_length, Some(max_byte_length))?;
        let store = engine.externalize(&buffer)?;
        let address = store.as_ptr();
        expect_eq!(store.kind().length(), Length::Resizable, "how the store's length may change");
        for step in [max_byte_length, 2, max_byte_length, 0, 3, max_byte_length] {
            let before = store.byte_length();
            engine.resize(&buffer, step)?;
            expect_eq!(store.byte_length(), step, "the store's length");
            expect_eq!(engine.state(&buffer)?.byte_length, step, "the buffer's length");
            expect_eq!(store.as_ptr(), address, "the address after resizing to {step}");
            let grown = present_bytes(&mut *engine, &buffer, &store)?.split_off(before.min(step));
            expect!(grown.iter().all(|byte| *byte == 0), "what resizing from {before} to {step} added is zero");
            for index in 0..step.min(8) {
                engine.write(&buffer, index, 0xee)?;
            }
            if let Some(last) = step.checked_sub(1) {
                engine.write(&buffer, last, 0xef)?;
                let bytes = present_bytes(&mut *engine, &buffer, &store)?;
                expect_eq!(bytes[last], 0xef, "the bytes that script wrote last, as native code sees them");
            }
        }
        expect_eq!(engine.externalize(&buffer)?, store, "the store after all that");
    }
    Ok(())
}

fn resize_refusals(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let fixed = engine.allocate(8, None)?;
    expect_error!(engine.resize(&fixed, 4), Error::NotResizable { .. }, "resizing a fixed-length buffer");
    let exposed = engine.expose(&store_of(vec![0; 8])?)?.0;
    expect_error!(engine.resize(&exposed, 4), Error::NotResizable { .. }, "resizing a buffer over a fixed store");
    for detached in [fixed, exposed] {
        engine.detach(&detached, None)?;
        let refused = engine.resize(&detached, 4);
        expect_error!(refused, Error::Detached { attempted: "resize", .. }, "resizing a detached fixed-length buffer");
    }
    let buffer = engine.allocate(8, Some(16))?;
    let refused = engine.resize(&buffer, 17);
    expect_error!(refused, Error::InvalidLength { requested: 17, limit: 16, .. }, "resizing beyond the maximum");
    expect_eq!(engine.state(&buffer)?.byte_length, 8, "the length after the refusal");
    engine.detach(&buffer, None)?;
    expect_error!(engine.resize(&buffer, 4), Error::Detached { .. }, "resizing a detached buffer");
    let state = engine.state(&buffer)?;
    expect_eq!((state.byte_length, state.max_byte_length), (0, 0), "the lengths of a detached buffer");
    Ok(())
}

fn detach(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let store = store_of(vec![1; 8])?;
    let buffer = engine.expose(&store)?.0;
    for _ in 0..2 {
        engine.detach(&buffer, None)?;
        let state = engine.state(&buffer)?;
        expect_eq!((state.byte_length, state.max_byte_length, state.detached), (0, 0, true), "the buffer's state");
    }
    expect_eq!(store.to_vec()?, [1; 8], "the bytes of the store");
    expect_eq!(store.exposure(), None, "its exposure");
    let (first, second) = (engine.externalize(&buffer)?, engine.externalize(&buffer)?);
    expect_eq!((first.byte_length(), second.byte_length()), (0, 0), "the lengths of a detached buffer's stores");
    expect!(first != second && first != store, "they are new ones");
    expect_eq!(engine.external_bytes(), 0, "external bytes with nothing exposed");
    Ok(())
}

fn take(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.expose(&store_of(vec![1; 8])?)?.0;
    engine.write(&buffer, 3, 7)?;
    let taken = engine.take(&buffer, None)?;
    expect!(engine.state(&buffer)?.detached, "the buffer is detached");
    let vec: Vec<u8> = taken.try_into_owner()?;
    expect_eq!(vec, [1, 1, 1, 7, 1, 1, 1, 1], "the owner's bytes");
    let made = engine.allocate(8, None)?;
    engine.write(&made, 0, 5)?;
    let mut taken = engine.take(&made, None)?;
    taken[1] = 6;
    expect_eq!(taken[..3], [5, 6, 0], "the bytes of an engine-made buffer");
    expect_error!(engine.take(&made, None), Error::Detached { .. }, "taking it again");
    expect_eq!(engine.external_bytes(), 0, "external bytes");
    let again = engine.expose(&taken.into())?.0;
    expect_eq!(engine.read(&again, 1)?, Some(6), "a byte of what was taken, in script again");
    let empty = engine.allocate(0, None)?;
    expect!(engine.take(&empty, None)?.is_empty() && engine.state(&empty)?.detached, "an empty buffer is taken");
    Ok(())
}

fn take_refused(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let store = store_of(vec![1; 8])?;
    let weak = store.downgrade();
    let buffer = engine.expose(&store)?.0;
    let other = engine.expose(&store)?.0;
    macro_rules! refused {
        () => {
            let taken = engine.take(&buffer, None).map(drop);
            expect_error!(taken, Error::Memory(offheap::Error::NotUnique { .. }), "taking it");
            expect_eq!(contents(&mut *engine, &buffer)?, [1; 8], "the bytes after the refusal");
        };
    }
    refused!();
    engine.detach(&other, None)?;
    refused!();
    drop(store);
    refused!();
    drop(weak);
    expect_eq!(engine.take(&buffer, None)?[..], [1; 8], "the bytes once it has no others");
    Ok(())
}

fn detach_key(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let store = store_of(vec![1; 8])?;
    let buffer = engine.expose(&store)?.0;
    engine.set_detach_key(&buffer, Some("right"))?;
    expect_error!(engine.detach(&buffer, None), Error::WrongDetachKey { .. }, "detaching without a key");
    expect_error!(engine.detach(&buffer, Some("wrong")), Error::WrongDetachKey { .. }, "detaching with another key");
    expect_error!(engine.transfer(&buffer, None), Error::WrongDetachKey { .. }, "transferring");
    expect_error!(engine.transfer(&buffer, Some(4)), Error::WrongDetachKey { .. }, "transferring to another length");
    expect_error!(engine.transfer(&buffer, Some(0)), Error::WrongDetachKey { .. }, "transferring to nothing");
    expect_eq!(contents(&mut *engine, &buffer)?, [1; 8], "the bytes after the refusals");
    engine.set_detach_key(&buffer, None)?;
    let target = engine.transfer(&buffer, None)?;
    expect_eq!(engine.externalize(&target)?, store, "the target's store once the key is gone");
    engine.set_detach_key(&target, Some("other"))?;
    engine.detach(&target, Some("other"))?;
    expect!(engine.state(&target)?.detached, "the right key detaches");
    let keyless = engine.allocate(8, None)?;
    expect_error!(engine.detach(&keyless, Some("any")), Error::WrongDetachKey { .. }, "a key where none was set");
    expect!(!engine.state(&keyless)?.detached, "a buffer without a key is not detached with one");
    Ok(())
}

fn externalize_sizes(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    for byte_length in [0, 1, 7, 64, 504, 505, 4096, 65_537, 1 << 20] {
        let buffer = engine.allocate(byte_length, None)?;
        if let Some(last) = byte_length.checked_sub(1) {
            engine.write(&buffer, 0, 1)?;
            engine.write(&buffer, last, 2)?;
        }
        let store = engine.externalize(&buffer)?;
        expect_eq!(store.byte_length(), byte_length, "the store's length");
        expect_eq!(engine.externalize(&buffer)?, store, "the store of {byte_length} bytes, asked again");
        expect_eq!(store.exposure(), Some((engine.isolate(), 1)), "its exposure");
        if let Some(last) = byte_length.checked_sub(1) {
            expect_eq!(store.to_vec()?[last], 2, "the last of {byte_length} bytes, seen natively");
            engine.write(&buffer, last, 3)?;
            expect_eq!(store.to_vec()?[last], 3, "the last of {byte_length} bytes, written afterwards");
            expect_eq!(engine.read(&buffer, last)?, Some(3), "the last of {byte_length} bytes, seen by script");
        }
        drop(buffer);
        settle(&mut *engine);
        expect_eq!(store.reference_count(), 1, "references to {byte_length} bytes once the buffer is collected");
    }
    Ok(())
}

fn accounted(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let before = engine.external_bytes();
    let (small, large) = (store_of(vec![0; 100])?, store_of(vec![0; 1000])?);
    let first = engine.expose(&small)?.0;
    let second = engine.expose(&small)?.0;
    expect_eq!(engine.external_bytes() - before, 100, "external bytes of one store under two buffers");
    let third = engine.expose(&large)?.0;
    expect_eq!(engine.external_bytes() - before, 1100, "external bytes of two stores");
    engine.detach(&first, None)?;
    expect_eq!(engine.external_bytes() - before, 1100, "external bytes with one of two buffers detached");
    engine.detach(&second, None)?;
    expect_eq!(engine.external_bytes() - before, 1000, "external bytes with both detached");
    drop(third);
    settle(&mut *engine);
    expect_eq!(engine.external_bytes(), before, "external bytes after the collection");
    Ok(())
}

fn too_large(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let most = engine.max_byte_length();
    let refused = engine.allocate(most + 1, None);
    expect_error!(refused, Error::TooLargeForEngine { limit, .. } if limit == most, "a buffer one byte too long");
    if engine.capabilities().contains(Capabilities::RESIZABLE) {
        let refused = engine.allocate(0, Some(most + 1));
        expect_error!(refused, Error::TooLargeForEngine { limit, .. } if limit == most, "a maximum one byte too long");
    }
    expect_eq!(engine.external_bytes(), 0, "external bytes after the refusal");
    Ok(())
}
