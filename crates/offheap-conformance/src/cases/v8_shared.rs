//! V8's cases of shared and resizable memory, and of the kinds of stores.

use std::thread;

use offheap_engine::offheap::{BackingStore, Length, SharedStore, StoreKind, UniqueStore};
use offheap_engine::{Error, ManuallyExternalizedBuffer};

use super::kit::{Tally, settle, tallied_shared};
use crate::{Capabilities, Case, Failure, Lab};

const SHARED: Capabilities = Capabilities::SHARED;
const RESIZABLE: Capabilities = Capabilities::RESIZABLE;

pub(super) const CASES: &[Case] = &[
    Case {
        number: "A12",
        name: "a12_shared_array_buffer_api_internal_to_external",
        needs: SHARED,
        summary: "Native code sees the bytes that script writes to an engine-made SharedArrayBuffer, and \
                  script sees those of native code.",
        run: a12,
    },
    Case {
        number: "A13",
        name: "a13_shared_array_buffer_js_internal_to_external",
        needs: Capabilities::SCRIPT.union(Capabilities::SHARED),
        summary: "Native code and script share the bytes of a SharedArrayBuffer that script made, through \
                  views from before and after it was externalized.",
        run: a13,
    },
    Case {
        number: "A18",
        name: "a18_array_buffer_new_resizable_backing_store",
        needs: RESIZABLE,
        summary: "A resizable buffer and its store have the requested lengths, and externalizing returns the \
                  same store each time. Not every engine accepts resizable memory that it did not make, so the \
                  engine makes it here.",
        run: a18,
    },
    Case {
        number: "A19",
        name: "a19_shared_array_buffer_new_backing_store",
        needs: SHARED,
        summary: "Externalizing a buffer over a shared store returns that store, with its identity, address \
                  and length. It is shared.",
        run: a19,
    },
    Case {
        number: "A23",
        name: "a23_shared_array_buffer_new_backing_store_custom_deleter",
        needs: Capabilities::empty(),
        summary: "The deleter of shared memory is called once, with its address and length, when the last \
                  reference is dropped. No isolate is involved.",
        run: a23,
    },
    Case {
        number: "A25",
        name: "a25_shared_array_buffer_new_backing_store_empty_deleter",
        needs: SHARED,
        summary: "Shared memory does not count as external memory of the engine, even if the engine made it.",
        run: a25,
    },
    Case {
        number: "A26",
        name: "a26_backing_store_not_shared",
        needs: Capabilities::empty(),
        summary: "Engine-made unshared memory, zeroed memory, and memory with an owner are all unshared.",
        run: a26,
    },
    Case {
        number: "A27",
        name: "a27_backing_store_shared",
        needs: SHARED,
        summary: "Engine-made shared memory, zeroed shared memory, and shared memory with an owner are all shared.",
        run: a27,
    },
    Case {
        number: "A32",
        name: "a32_array_buffer_resizable",
        needs: Capabilities::SCRIPT.union(Capabilities::RESIZABLE).union(Capabilities::SHARED),
        summary: "Buffers that script made with a maximum report it, shared or not.",
        run: a32,
    },
    Case {
        number: "A33",
        name: "a33_array_buffer_fixed_length",
        needs: SHARED,
        summary: "The maximum of a fixed-length buffer is its length, on the buffer and on its store, shared or not.",
        run: a33,
    },
    Case {
        number: "B5",
        name: "b5_racy_grow_wasm_memory_in_place",
        needs: Capabilities::RESIZABLE.union(Capabilities::SHARED),
        summary: "Ten threads grow the same memory page by page to 1,024 pages. The lengths that each sees \
                  only rise, each step is taken once, and the last length is exact. No function hands a \
                  WebAssembly memory to another isolate, so a growable SharedArrayBuffer, exposed in an \
                  isolate of each thread, replaces it.",
        run: b5,
    },
];

fn a12(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate_shared(1024, None)?;
    let state = engine.state(&buffer)?;
    expect!(state.shared && !state.detached && state.byte_length == 1024, "it is as asked for: {state:?}");
    settle(&mut *engine);
    let external = ManuallyExternalizedBuffer::new(buffer)?;
    let Ok(store) = SharedStore::try_from(external.store().clone()) else {
        return Err(Failure::new("expected a shared store, saw another"));
    };
    expect_eq!(store.byte_length(), 1024, "the store's length");
    engine.write(external.buffer(), 0, 0x2a)?;
    engine.write(external.buffer(), 1023, 0x2b)?;
    let bytes = store.to_vec()?;
    expect_eq!((bytes[0], bytes[1023]), (0x2a, 0x2b), "the bytes that script wrote, as native code sees them");
    store.copy_from_slice(1, &[0x2c])?;
    expect_eq!(engine.read(external.buffer(), 1)?, Some(0x2c), "the byte that native code wrote, as script sees it");
    expect_error!(engine.detach(external.buffer(), None), Error::NotDetachable { .. }, "detaching it");
    Ok(())
}

fn a13(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.evaluate_buffer(
        "globalThis.made = new SharedArrayBuffer(2);
         globalThis.before = new Uint8Array(made);
         before[0] = 0x1d; before[1] = 0x1e;
         before",
    )?;
    expect!(engine.state(&buffer)?.shared, "the buffer is shared");
    settle(&mut *engine);
    let store = shared(engine.externalize(&buffer)?)?;
    expect_eq!(store.to_vec()?, [0x1d, 0x1e], "the bytes that script wrote before, as native code sees them");
    engine.evaluate("globalThis.after = new Uint8Array(made); after[0] = 0x2d; before[1] = 0x2e;")?;
    expect_eq!(
        store.to_vec()?,
        [0x2d, 0x2e],
        "the bytes that script wrote through both views, as native code sees them"
    );
    store.copy_from_slice(0, &[0x3d, 0x3e])?;
    expect_script!(engine, "String([before[1], after[0], Atomics.load(after, 1)])", "62,61,62");
    expect_eq!(engine.externalize(&buffer)?, *store.as_store(), "the store, asked again");
    Ok(())
}

fn a18(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate(32, Some(1024))?;
    let state = engine.state(&buffer)?;
    expect_eq!((state.byte_length, state.max_byte_length), (32, 1024), "the buffer's lengths");
    expect!(state.resizable && !state.shared, "it is resizable and not shared: {state:?}");
    let store = engine.externalize(&buffer)?;
    expect_eq!((store.byte_length(), store.max_byte_length()), (32, 1024), "the store's lengths");
    expect_eq!(store.kind().length(), Length::Resizable, "how the store's length may change");
    let again = engine.externalize(&buffer)?;
    expect_eq!(again, store, "the store, asked again");
    expect_eq!(again.as_ptr(), store.as_ptr(), "its address");
    Ok(())
}

fn a19(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let store = SharedStore::zeroed(100)?;
    let (buffer, exposure) = engine.expose(store.as_store())?;
    expect!(exposure.is_external(), "it is exposed without a copy");
    let state = engine.state(&buffer)?;
    expect_eq!((state.byte_length, state.max_byte_length), (100, 100), "the buffer's lengths");
    expect!(state.shared && !state.resizable, "it is shared and has one length: {state:?}");
    let back = shared(engine.externalize(&buffer)?)?;
    expect_eq!(back, store, "the store that comes back");
    expect_eq!(back.as_ptr(), store.as_ptr(), "its address");
    let mut other = lab.isolate()?;
    let elsewhere = other.expose(store.as_store())?.0;
    engine.write(&buffer, 99, 9)?;
    expect_eq!(other.read(&elsewhere, 99)?, Some(9), "what one isolate wrote, read in another");
    expect_eq!(other.externalize(&elsewhere)?, *store.as_store(), "the store that comes back from there");
    Ok(())
}

fn a23(_: &Lab<'_>) -> Result<(), Failure> {
    let bytes = vec![5; 100];
    let address = bytes.as_ptr().addr();
    let (store, tally) = tallied_shared(bytes)?;
    let other = store.clone();
    drop(store);
    expect_eq!(tally.count(), 0, "calls of the deleter while a reference lives");
    drop(other);
    let calls = tally.calls();
    expect_eq!(calls.len(), 1, "calls of the deleter");
    expect_eq!((calls[0].address, calls[0].byte_length), (address, 100), "the arguments of the deleter");
    Ok(())
}

fn a25(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let before = engine.external_bytes();
    let (store, tally): (SharedStore, Tally) = tallied_shared(vec![0; 4096])?;
    let buffers = [engine.expose(store.as_store())?.0, engine.allocate_shared(4096, None)?];
    for buffer in &buffers {
        engine.externalize(buffer)?;
        expect_eq!(engine.external_bytes(), before, "external bytes with buffers over shared memory");
    }
    drop((buffers, store));
    settle(&mut *engine);
    expect_eq!(
        (engine.external_bytes(), tally.count()),
        (before, 1),
        "external bytes, calls of the deleter, at the end"
    );
    Ok(())
}

fn a26(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let made = engine.allocate(8, None)?;
    expect!(!engine.state(&made)?.shared, "an ArrayBuffer is not shared");
    let made = engine.externalize(&made)?;
    let zeroed = BackingStore::from(UniqueStore::zeroed(8)?);
    let owned = BackingStore::from(UniqueStore::from_owner(vec![0_u8; 8])?);
    for store in [made, zeroed, owned] {
        expect_eq!(store.kind(), StoreKind::FIXED, "the kind of an unshared store");
        expect!(SharedStore::try_from(store).is_err(), "an unshared store is no `SharedStore`");
    }
    Ok(())
}

fn a27(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let made = engine.allocate_shared(8, None)?;
    let stores =
        [engine.externalize(&made)?, SharedStore::zeroed(8)?.into(), SharedStore::from_owner(vec![0_u8; 8])?.into()];
    for store in stores {
        expect!(store.kind().is_shared(), "the kind of a shared store is {:?}", store.kind());
        let buffer = engine.expose(&store)?.0;
        expect!(engine.state(&buffer)?.shared, "a buffer over a shared store is shared");
    }
    Ok(())
}

fn a32(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    for (constructor, is_shared) in [("ArrayBuffer", false), ("SharedArrayBuffer", true)] {
        let source = format!("globalThis.made = new {constructor}(32, {{ maxByteLength: 1024 }})");
        let buffer = engine.evaluate_buffer(&source)?;
        let state = engine.state(&buffer)?;
        expect_eq!((state.byte_length, state.max_byte_length), (32, 1024), "the lengths of {source}");
        expect!(state.resizable && state.shared == is_shared, "{source} is as asked for: {state:?}");
        let store = engine.externalize(&buffer)?;
        expect_eq!((store.byte_length(), store.max_byte_length()), (32, 1024), "the lengths of the store of {source}");
        engine.evaluate(if is_shared { "made.grow(64)" } else { "made.resize(64)" })?;
        expect_eq!(engine.state(&buffer)?.byte_length, 64, "the length of {source} after script changed it");
        expect_eq!(engine.externalize(&buffer)?, store, "the store after that");
        expect_eq!(store.byte_length(), 64, "the store's length after that");
    }
    Ok(())
}

fn a33(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    for buffer in [engine.allocate(32, None)?, engine.allocate_shared(32, None)?] {
        let state = engine.state(&buffer)?;
        expect_eq!((state.byte_length, state.max_byte_length), (32, 32), "the buffer's lengths");
        expect!(!state.resizable, "the buffer has one length");
        let store = engine.externalize(&buffer)?;
        expect_eq!((store.byte_length(), store.max_byte_length()), (32, 32), "the store's lengths");
        expect_error!(engine.resize(&buffer, 16), Error::NotResizable { .. }, "giving it another length");
    }
    Ok(())
}

fn b5(lab: &Lab<'_>) -> Result<(), Failure> {
    const PAGE: usize = 65_536;
    const PAGES: usize = 1024;
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate_shared(0, Some(PAGES * PAGE))?;
    let store = engine.externalize(&buffer)?;
    let grow = |_: usize| -> Result<usize, Failure> {
        let mut engine = lab.isolate()?;
        let (buffer, exposure) = engine.expose(&store)?;
        expect!(exposure.is_external(), "the memory is exposed on another thread without a copy");
        let (mut steps, mut seen) = (0, 0);
        for _ in 0..100_000 {
            let byte_length = engine.state(&buffer)?.byte_length;
            expect!(byte_length >= seen, "lengths rise: {byte_length} after {seen}");
            seen = byte_length;
            if seen == PAGES * PAGE {
                return Ok(steps);
            }
            match engine.resize(&buffer, seen + PAGE) {
                // Another thread may already have grown it to that length.
                Ok(()) => steps += 1,
                Err(Error::InvalidLength { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::new(format!("expected growth to {PAGES} pages, saw {} after 100,000 steps", seen / PAGE)))
    };
    let steps = thread::scope(|scope| {
        let threads: Vec<_> = (0..10).map(|thread| scope.spawn(move || grow(thread))).collect();
        let steps =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(Failure::new("a thread panicked"))));
        steps.collect::<Result<Vec<_>, _>>()
    })?;
    expect!(steps.iter().sum::<usize>() >= PAGES, "the steps of all threads are {steps:?}");
    let state = engine.state(&buffer)?;
    expect_eq!((state.byte_length, store.byte_length()), (PAGES * PAGE, PAGES * PAGE), "the lengths at the end");
    engine.write(&buffer, PAGES * PAGE - 1, 1)?;
    let mut last = [0];
    store.copy_to_slice(PAGES * PAGE - 1, &mut last)?;
    expect_eq!(last, [1], "the last byte");
    Ok(())
}

fn shared(store: BackingStore) -> Result<SharedStore, Failure> {
    Ok(SharedStore::try_from(store)?)
}
