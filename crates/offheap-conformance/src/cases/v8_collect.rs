//! V8's cases of collections, external memory, and detach keys.

use offheap_engine::Error;

use super::kit::{settle, tallied};
use crate::{Capabilities, Case, Failure, Lab};

const GENERATIONS: Capabilities = Capabilities::GENERATIONS;

pub(super) const CASES: &[Case] = &[
    Case {
        number: "A14",
        name: "a14_skip_array_buffer_backing_store_during_gc",
        needs: Capabilities::empty(),
        summary: "Collections neither read nor move the memory behind a buffer: its address stays, and so do \
                  its bytes, which include addresses of all sorts.",
        run: a14,
    },
    Case {
        number: "A15",
        name: "a15_skip_array_buffer_during_scavenge",
        needs: GENERATIONS,
        summary: "Collections of young objects neither read nor move the memory behind a buffer, next to the \
                  memory of a buffer that died. The addresses of the engine's heap are not public, so its own \
                  freed memory replaces them.",
        run: a15,
    },
    Case {
        number: "S1",
        name: "s1_array_buffer_only_mc",
        needs: Capabilities::empty(),
        summary: "A reachable buffer survives full collections, and the first one after it became unreachable \
                  frees it. The engine's lists of buffers are not public, so this case and the following ones \
                  check whether its store is exposed.",
        run: s1,
    },
    Case {
        number: "S2",
        name: "s2_array_buffer_only_scavenge",
        needs: GENERATIONS,
        summary: "A reachable buffer survives collections of young objects and a full one, and the first full \
                  one after it became unreachable frees it.",
        run: s2,
    },
    Case {
        number: "S3",
        name: "s3_array_buffer_scavenge_and_mc",
        needs: GENERATIONS,
        summary: "A buffer that became old and then died is not freed by a collection of young objects, but by \
                  a full one.",
        run: s3,
    },
    Case {
        number: "S5",
        name: "s5_array_buffer_unregister_during_sweep",
        needs: Capabilities::empty(),
        summary: "Buffers may be detached right after a collection, while dead ones are still being finalized. \
                  Both release their stores exactly once.",
        run: s5,
    },
    Case {
        number: "S11",
        name: "s11_external_backing_store_size_increases",
        needs: Capabilities::empty(),
        summary: "A buffer over 117 bytes adds 117 to the external bytes.",
        run: s11,
    },
    Case {
        number: "S12",
        name: "s12_external_backing_store_size_decreases",
        needs: Capabilities::empty(),
        summary: "Collecting a buffer restores the external bytes to their previous value.",
        run: s12,
    },
    Case {
        number: "U1",
        name: "u1_transfer_with_detach_key",
        needs: Capabilities::SCRIPT.union(Capabilities::DETACH_KEYS),
        summary: "Script cannot transfer a buffer that has a detach key, until the key is removed.",
        run: u1,
    },
];

fn a14(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let other = engine.allocate(8, None)?;
    let address_of_other = engine.externalize(&other)?.as_ptr().addr();
    let bytes: Vec<u8> = [address_of_other, address_of_other + 1, address_of_other | 3, usize::MAX]
        .into_iter()
        .flat_map(usize::to_ne_bytes)
        .collect();
    let (store, tally) = tallied(bytes.clone())?;
    let buffer = engine.expose(&store)?.0;
    let address = store.as_ptr();
    drop((store, other));
    for _ in 0..3 {
        engine.collect_young();
        settle(&mut *engine);
    }
    let store = engine.externalize(&buffer)?;
    expect_eq!(store.as_ptr(), address, "the address after the collections");
    expect_eq!(store.to_vec()?, bytes, "the bytes after the collections");
    expect_eq!(tally.count(), 0, "calls of the deleter while the buffer is reached");
    Ok(())
}

fn a15(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    for round in 0..8 {
        let dying = engine.allocate(64, None)?;
        drop(dying);
        let buffer = engine.allocate(64, None)?;
        engine.write(&buffer, 63, round)?;
        let store = engine.externalize(&buffer)?;
        let address = store.as_ptr();
        engine.collect_young();
        engine.collect_young();
        expect_eq!(engine.externalize(&buffer)?.as_ptr(), address, "the address after collections of young objects");
        expect_eq!(engine.read(&buffer, 63)?, Some(round), "the last byte");
    }
    Ok(())
}

fn s1(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(vec![0; 64])?;
    let buffer = engine.expose(&store)?.0;
    for _ in 0..2 {
        settle(&mut *engine);
        expect_eq!(store.exposure(), Some((engine.isolate(), 1)), "the exposure after a collection");
    }
    drop(buffer);
    settle(&mut *engine);
    expect_eq!(store.exposure(), None, "the exposure once the buffer died");
    expect_eq!(tally.count(), 0, "calls of the deleter while a reference lives");
    Ok(())
}

fn s2(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, _) = tallied(vec![0; 64])?;
    let buffer = engine.expose(&store)?.0;
    for _ in 0..2 {
        engine.collect_young();
        expect_eq!(store.exposure(), Some((engine.isolate(), 1)), "the exposure after a collection of young objects");
    }
    settle(&mut *engine);
    expect_eq!(store.exposure(), Some((engine.isolate(), 1)), "the exposure after a collection of all");
    drop(buffer);
    settle(&mut *engine);
    expect_eq!(store.exposure(), None, "the exposure once the buffer died");
    Ok(())
}

fn s3(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, _) = tallied(vec![0; 64])?;
    let buffer = engine.expose(&store)?.0;
    settle(&mut *engine);
    drop(buffer);
    // Waiting for finalizers may require a full collection.
    engine.collect_young();
    expect_eq!(store.exposure(), Some((engine.isolate(), 1)), "the exposure: a young collection keeps old buffers");
    settle(&mut *engine);
    expect_eq!(store.exposure(), None, "the exposure after a collection of all");
    Ok(())
}

fn s5(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let stores = (0..64).map(|byte| tallied(vec![byte; 64])).collect::<Result<Vec<_>, _>>()?;
    let mut kept = Vec::new();
    for (index, (store, _)) in stores.iter().enumerate() {
        let buffer = engine.expose(store)?.0;
        if index % 2 == 0 {
            kept.push(buffer);
        }
    }
    engine.collect();
    for buffer in &kept {
        engine.detach(buffer, None)?;
    }
    engine.drain_finalizers();
    for (index, (store, tally)) in stores.into_iter().enumerate() {
        expect_eq!(store.exposure(), None, "the exposure of store {index}");
        expect_eq!(store.to_vec()?, vec![index as u8; 64], "its bytes");
        drop(store);
        expect_eq!(tally.count(), 1, "calls of the deleter of store {index}");
    }
    Ok(())
}

fn s11(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let before = engine.external_bytes();
    let (store, _) = tallied(vec![0; 117])?;
    let buffer = engine.expose(&store)?.0;
    expect_eq!(engine.external_bytes(), before + 117, "external bytes with a buffer over 117");
    settle(&mut *engine);
    expect_eq!(engine.external_bytes(), before + 117, "external bytes after a collection that found it alive");
    drop(buffer);
    Ok(())
}

fn s12(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let before = engine.external_bytes();
    for _ in 0..3 {
        let (store, tally) = tallied(vec![0; 117])?;
        drop(engine.expose(&store)?);
        drop(store);
        settle(&mut *engine);
        expect_eq!(engine.external_bytes(), before, "external bytes once the buffer was collected");
        expect_eq!(tally.count(), 1, "calls of its deleter");
    }
    Ok(())
}

fn u1(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.evaluate_buffer("globalThis.buffer = new ArrayBuffer(1)")?;
    engine.set_detach_key(&buffer, Some("key"))?;
    for transfer in ["buffer.transfer()", "buffer.transferToFixedLength()", "buffer.transfer(0)"] {
        let refused = engine.evaluate(transfer).map(drop);
        expect_error!(refused, Error::Script(error) if error.message().contains("TypeError"), "`{transfer}`");
        expect_eq!(engine.state(&buffer)?.byte_length, 1, "the length after `{transfer}`");
    }
    engine.set_detach_key(&buffer, None)?;
    engine.evaluate("buffer.transfer(); undefined")?;
    let state = engine.state(&buffer)?;
    expect!(state.detached && state.byte_length == 0, "script transfers it then: {state:?}");
    Ok(())
}
