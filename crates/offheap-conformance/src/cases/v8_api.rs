//! V8's cases that need no script.

use offheap_engine::offheap::{Error as CoreError, ManualMemory, StoreKind, UniqueStore};
use offheap_engine::{Error, ManuallyExternalizedBuffer};

use super::kit::{settle, store_of, tallied};
use crate::{Capabilities, Case, Failure, Lab};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "M1",
        name: "m1_run_wasm_module_buffer_externalized_detach",
        needs: Capabilities::empty(),
        summary: "An engine-made buffer of one wasm page, without wasm, is externalized and detached. Native \
                  code can still write its memory, which is freed once, with the last reference.",
        run: m1,
    },
    Case {
        number: "A1",
        name: "a1_array_buffer_api_internal_to_external",
        needs: Capabilities::empty(),
        summary: "Native code sees the bytes that script writes to an engine-made buffer. Native code does not \
                  write while script has the buffer, so script sees native writes after detaching and exposing \
                  again.",
        run: a1,
    },
    Case {
        number: "A6",
        name: "a6_array_buffer_disable_detach",
        needs: Capabilities::DETACH_KEYS,
        summary: "A buffer that must not be detached is not detached, until it may be. No function of an \
                  engine makes a buffer undetachable, so a detach key that the caller does not give replaces \
                  that.",
        run: a6,
    },
    Case {
        number: "A9",
        name: "a9_array_buffer_was_detached",
        needs: Capabilities::empty(),
        summary: "An empty buffer reports whether it was detached.",
        run: a9,
    },
    Case {
        number: "A16",
        name: "a16_regress1006600",
        needs: Capabilities::empty(),
        summary: "A new empty buffer has nothing attached, even if another buffer was at its address before. \
                  Engines here have no internal fields, so the store replaces them.",
        run: a16,
    },
    Case {
        number: "A17",
        name: "a17_array_buffer_new_backing_store",
        needs: Capabilities::empty(),
        summary: "Externalizing a buffer over a store returns that store, with its identity, address and \
                  length. It is not resizable.",
        run: a17,
    },
    Case {
        number: "A22",
        name: "a22_array_buffer_new_backing_store_custom_deleter",
        needs: Capabilities::empty(),
        summary: "The deleter is called once, when the last reference is dropped, with the address and length \
                  of the memory and the data that it captured. No isolate is involved.",
        run: a22,
    },
    Case {
        number: "A24",
        name: "a24_array_buffer_new_backing_store_empty_deleter",
        needs: Capabilities::empty(),
        summary: "Manual memory does not count as external memory of the engine.",
        run: a24,
    },
    Case {
        number: "A34",
        name: "a34_array_buffer_data_api_with_empty_external",
        needs: Capabilities::empty(),
        summary: "The address of an empty buffer is stable. If its memory has an address, it is that address.",
        run: a34,
    },
];

fn m1(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate(65_536, None)?;
    engine.write(&buffer, 0, 7)?;
    let external = ManuallyExternalizedBuffer::new(buffer)?;
    engine.detach(external.buffer(), None)?;
    expect!(engine.state(external.buffer())?.detached, "the buffer is detached");
    expect_eq!(external.store().byte_length(), 65_536, "the store's length after detaching");
    let mut store = external.store().clone();
    expect_eq!(store.as_ptr(), external.backing_store(), "the address of the struct and of its store");
    {
        let mut bytes = store.bytes_mut()?;
        expect_eq!(bytes[0], 7, "the byte that script wrote before");
        bytes[..4].copy_from_slice(&0_u32.to_ne_bytes());
    }
    expect_eq!(store.to_vec()?[0], 0, "the byte after detaching");
    let weak = store.downgrade();
    drop((store, external));
    settle(&mut *engine);
    expect!(weak.upgrade().is_none(), "the memory went with its last reference");
    Ok(())
}

fn a1(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate(1024, None)?;
    expect_eq!(engine.state(&buffer)?.byte_length, 1024, "the buffer's length");
    settle(&mut *engine);
    let mut store = engine.externalize(&buffer)?;
    expect_eq!(store.byte_length(), 1024, "the store's length");
    expect!(!store.as_ptr().is_null(), "the address is not null");
    engine.write(&buffer, 0, 0x2a)?;
    engine.write(&buffer, 1023, 0x2b)?;
    let bytes = store.to_vec()?;
    expect_eq!((bytes[0], bytes[1023]), (0x2a, 0x2b), "the bytes that script wrote, as native code sees them");

    engine.detach(&buffer, None)?;
    store.bytes_mut()?[1] = 0x2c;
    let again = engine.expose(&store)?.0;
    expect_eq!(engine.read(&again, 0)?, Some(0x2a), "the byte that script wrote before, as script sees it");
    expect_eq!(engine.read(&again, 1)?, Some(0x2c), "the byte that native code wrote, as script sees it");
    Ok(())
}

fn a6(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate(100, None)?;
    engine.set_detach_key(&buffer, Some("only I"))?;
    expect_error!(engine.detach(&buffer, None), Error::WrongDetachKey { .. }, "detaching without the key");
    expect_eq!(engine.state(&buffer)?.byte_length, 100, "the length after the refusal");
    engine.set_detach_key(&buffer, None)?;
    engine.detach(&buffer, None)?;
    expect!(engine.state(&buffer)?.detached, "the buffer is detached once it may be");
    Ok(())
}

fn a9(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate(0, None)?;
    expect!(!engine.state(&buffer)?.detached, "a fresh empty buffer is not detached");
    engine.detach(&buffer, None)?;
    expect!(engine.state(&buffer)?.detached, "it is once it was");
    engine.detach(&buffer, None)?;
    expect!(engine.state(&buffer)?.detached, "and stays so");
    Ok(())
}

fn a16(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (earlier, tally) = tallied(vec![1; 16])?;
    drop(engine.expose(&earlier)?);
    settle(&mut *engine);
    let buffer = engine.allocate(0, None)?;
    let state = engine.state(&buffer)?;
    expect_eq!((state.byte_length, state.max_byte_length), (0, 0), "the lengths of a fresh empty buffer");
    expect!(!state.detached && !state.resizable && !state.immutable, "it is in no special state: {state:?}");
    expect_eq!(engine.external_bytes(), 0, "external bytes of a fresh empty buffer");
    let store = engine.externalize(&buffer)?;
    expect!(store != earlier, "its store is not the one that was exposed before");
    expect_eq!(tally.count(), 0, "calls of the earlier deleter, whose store lives");
    Ok(())
}

fn a17(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let store = UniqueStore::zeroed(100)?.into();
    let (buffer, exposure) = engine.expose(&store)?;
    expect!(exposure.is_external(), "it is exposed without a copy");
    expect_eq!(store.kind(), StoreKind::FIXED, "the store's kind");
    let state = engine.state(&buffer)?;
    expect_eq!((state.byte_length, state.max_byte_length), (100, 100), "the buffer's lengths");
    expect!(!state.resizable, "the buffer is not resizable");
    let back = engine.externalize(&buffer)?;
    expect_eq!(back, store, "the store that comes back");
    expect_eq!(back.id(), store.id(), "its name");
    expect_eq!(back.as_ptr(), store.as_ptr(), "its address");
    Ok(())
}

fn a22(_: &Lab<'_>) -> Result<(), Failure> {
    let bytes = vec![5; 100];
    let address = bytes.as_ptr().addr();
    let (store, tally) = tallied(bytes)?;
    expect_eq!(tally.count(), 0, "calls of the deleter while the store lives");
    drop(store);
    let calls = tally.calls();
    expect_eq!(calls.len(), 1, "calls of the deleter");
    expect_eq!((calls[0].address, calls[0].byte_length), (address, 100), "the arguments of the deleter");
    Ok(())
}

fn a24(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let before = engine.external_bytes();
    let memory = ManualMemory::allocate(100)?;
    let buffer = engine.expose(memory.store())?.0;
    expect_eq!(engine.external_bytes(), before, "external bytes with a buffer over manual memory");
    expect_error!(memory.free(), CoreError::FreeInUse { .. }, "freeing it under the buffer");
    engine.detach(&buffer, None)?;
    memory.free()?;
    Ok(())
}

fn a34(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let empty = engine.allocate(0, None)?;
    let address = engine.externalize(&empty)?.as_ptr();
    expect!(!address.is_null(), "the address of an empty buffer is not null");
    expect_eq!(engine.externalize(&empty)?.as_ptr(), address, "its address, asked again");

    let memory = ManualMemory::allocate(0)?;
    let buffer = engine.expose(memory.store())?.0;
    expect_eq!(engine.externalize(&buffer)?.as_ptr(), memory.as_ptr(), "the address of empty manual memory");
    drop(buffer);
    settle(&mut *engine);
    memory.free()?;

    let spare = store_of(Vec::with_capacity(16))?;
    let buffer = engine.expose(&spare)?.0;
    expect_eq!(engine.externalize(&buffer)?.as_ptr(), spare.as_ptr(), "the address of an empty `Vec` with room");
    Ok(())
}
