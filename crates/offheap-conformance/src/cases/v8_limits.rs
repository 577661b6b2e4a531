//! V8's cases of excessive sizes, limits, and lifetimes.

use offheap_engine::offheap::{Budget, Error as CoreError, SharedStore, UniqueStore};
use offheap_engine::{Error, ManuallyExternalizedBuffer};

use super::kit::{settle, tallied};
use crate::{Capabilities, Case, Failure, Lab};

const SHARED: Capabilities = Capabilities::SHARED;

/// More bytes than any machine has.
const UNREASONABLE: usize = i64::MAX as usize;

pub(super) const CASES: &[Case] = &[
    Case {
        number: "A2",
        name: "a2_array_buffer_api_maybe_new",
        needs: Capabilities::empty(),
        summary: "An engine makes a buffer of a possible size, and returns an error for an impossible one.",
        run: a2,
    },
    Case {
        number: "A3",
        name: "a3_array_buffer_max_size",
        needs: Capabilities::empty(),
        summary: "The limit of an engine applies to each buffer: if one buffer of a length can be made, so can \
                  two, and one byte more than the limit is an error that names it. The case does not check \
                  whether that collected, because some engines may collect at any time.",
        run: a3,
    },
    Case {
        number: "A4",
        name: "a4_array_buffer_total_size",
        needs: SHARED,
        summary: "Under a limit on all bytes, a size above the limit is refused. Two halves can be made, and a \
                  third is refused until the engine collected one. The budget replaces V8's counting \
                  allocator: it is set for the process while this case runs.",
        run: a4,
    },
    Case {
        number: "A20",
        name: "a20_array_buffer_new_backing_store_unreasonable",
        needs: Capabilities::empty(),
        summary: "A store of an impossible size is an error.",
        run: a20,
    },
    Case {
        number: "A21",
        name: "a21_shared_array_buffer_new_backing_store_unreasonable",
        needs: SHARED,
        summary: "A shared store, or an engine's SharedArrayBuffer, of an impossible size is an error.",
        run: a21,
    },
    Case {
        number: "A29",
        name: "a29_backing_store_hold_allocator_alive_until_isolate_shutdown",
        needs: Capabilities::empty(),
        summary: "The deleter of a buffer's memory lives as long as the isolate that has the memory, and ends \
                  with it. An owner with its deleter replaces V8's allocator.",
        run: a29,
    },
    Case {
        number: "A30",
        name: "a30_backing_store_hold_allocator_alive_after_isolate_shutdown",
        needs: Capabilities::empty(),
        summary: "If a reference outlives the isolate, so does the deleter. The engine's own memory can be \
                  read after the isolate's end.",
        run: a30,
    },
    Case {
        number: "A31",
        name: "a31_backing_store_release_allocator_nullptr_backing_store",
        needs: Capabilities::empty(),
        summary: "A store without bytes drops its deleter at the end of the isolate.",
        run: a31,
    },
];

fn a2(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate(1024, None)?;
    expect_eq!(engine.state(&buffer)?.byte_length, 1024, "the length of a reasonable buffer");
    let refused = engine.allocate(UNREASONABLE, None).map(drop);
    expect_error!(refused, Error::TooLargeForEngine { .. } | Error::Script { .. }, "an unreasonable length");
    if engine.capabilities().contains(Capabilities::RESIZABLE) {
        let refused = engine.allocate(1, Some(UNREASONABLE)).map(drop);
        expect_error!(refused, Error::TooLargeForEngine { .. } | Error::Script { .. }, "an unreasonable maximum");
    }
    expect_eq!(engine.read(&buffer, 1023)?, Some(0), "the last byte of the buffer that was made");
    Ok(())
}

fn a3(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let limit = engine.max_byte_length();
    let buffers = [engine.allocate(32_768, None)?, engine.allocate(32_768, None)?];
    let refused = engine.allocate(limit.saturating_add(1), None).map(drop);
    expect_error!(refused, Error::TooLargeForEngine { limit: named, .. } if named == limit, "more than the limit");
    for buffer in &buffers {
        expect_eq!(engine.state(buffer)?.byte_length, 32_768, "the length of a buffer that was made before");
    }
    Ok(())
}

/// A limit on the bytes of the process, until this is dropped.
struct Limited {
    before: Option<usize>,
}

impl Limited {
    fn to(byte_limit: usize) -> Self {
        let before = Budget::limit();
        Budget::set(byte_limit);
        Limited { before }
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        match self.before {
            Some(byte_limit) => Budget::set(byte_limit),
            None => Budget::clear(),
        }
    }
}

fn a4(lab: &Lab<'_>) -> Result<(), Failure> {
    // Leave room for stores that other threads of the process make and drop at the same time.
    const HALF: usize = 32 << 20;
    const LEEWAY: usize = HALF / 2;
    let mut engine = lab.isolate()?;
    let before = Budget::used();
    let _limited = Limited::to(before + 2 * HALF + LEEWAY);
    let too_much = 3 * HALF;
    expect_error!(UniqueStore::zeroed(too_much), CoreError::OverBudget { .. }, "too much unshared memory");
    expect_error!(SharedStore::zeroed(too_much), CoreError::OverBudget { .. }, "too much shared memory");
    let first = engine.expose(SharedStore::zeroed(HALF)?.as_store())?.0;
    let second = engine.expose(SharedStore::zeroed(HALF)?.as_store())?.0;
    expect_error!(SharedStore::zeroed(HALF), CoreError::OverBudget { .. }, "a third half while two live");
    drop(first);
    settle(&mut *engine);
    drop(SharedStore::zeroed(HALF)?);
    drop(second);
    settle(&mut *engine);
    expect!(Budget::used() < before + LEEWAY, "the budget is returned: {} and {before} before", Budget::used());
    Ok(())
}

fn a20(_: &Lab<'_>) -> Result<(), Failure> {
    let refused = UniqueStore::zeroed(UNREASONABLE).map(drop);
    expect_error!(refused, CoreError::TooLarge { .. } | CoreError::OutOfMemory { .. }, "an unreasonable length");
    let refused = UniqueStore::resizable(0, UNREASONABLE).map(drop);
    expect_error!(refused, CoreError::TooLarge { .. } | CoreError::OutOfMemory { .. }, "an unreasonable maximum");
    Ok(())
}

fn a21(lab: &Lab<'_>) -> Result<(), Failure> {
    let refused = SharedStore::zeroed(UNREASONABLE).map(drop);
    expect_error!(refused, CoreError::TooLarge { .. } | CoreError::OutOfMemory { .. }, "an unreasonable length");
    let refused = SharedStore::growable(0, UNREASONABLE).map(drop);
    expect_error!(refused, CoreError::TooLarge { .. } | CoreError::OutOfMemory { .. }, "an unreasonable maximum");
    let mut engine = lab.isolate()?;
    let refused = engine.allocate_shared(UNREASONABLE, None).map(drop);
    expect_error!(refused, Error::TooLargeForEngine { .. } | Error::Script { .. }, "an unreasonable SharedArrayBuffer");
    Ok(())
}

fn a29(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(vec![1; 64])?;
    let buffer = engine.expose(&store)?.0;
    drop(store);
    settle(&mut *engine);
    expect_eq!(engine.read(&buffer, 63)?, Some(1), "the last byte, while the isolate lives");
    expect_eq!(tally.count(), 0, "calls of the deleter while the isolate lives");
    engine.shut_down();
    expect_eq!(tally.count(), 1, "calls of the deleter after the isolate's end");
    drop(buffer);
    expect_eq!(tally.count(), 1, "calls of the deleter after the handle's");
    Ok(())
}

fn a30(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(vec![1; 64])?;
    let external = ManuallyExternalizedBuffer::new(engine.expose(&store)?.0)?;
    let made = engine.allocate(64, None)?;
    engine.write(&made, 63, 9)?;
    let of_the_engine = engine.externalize(&made)?;
    drop(store);
    engine.shut_down();
    expect_eq!(tally.count(), 0, "calls of the deleter after the isolate's end");
    expect_eq!(external.store().to_vec()?, vec![1; 64], "the bytes after the isolate's end");
    drop(external);
    expect_eq!(tally.count(), 1, "calls of the deleter after the last reference");
    expect_eq!(of_the_engine.to_vec()?.last(), Some(&9), "the last byte of the engine's own memory");
    Ok(())
}

fn a31(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(Vec::new())?;
    let buffer = engine.expose(&store)?.0;
    drop((store, buffer));
    engine.shut_down();
    expect_eq!(tally.count(), 1, "calls of the deleter of a store without bytes");
    expect_eq!(tally.calls()[0].byte_length, 0, "the length that it was called with");
    Ok(())
}
