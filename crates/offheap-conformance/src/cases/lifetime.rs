//! Promises about the lifetime of memory: I-FREE-ONCE, I-LAYOUT, I-OWNER-SEND, I-NO-JS-OWNER, I-MAPPED.

use std::mem::ManuallyDrop;
use std::thread;

use offheap_engine::offheap::{Error as CoreError, ManualHeap, ManualMemory, NotUnique};
use offheap_engine::{Engine, Error, ManuallyExternalizedBuffer};

use super::kit::{settle, store_of, tallied};
use crate::{Capabilities, Case, Failure, Lab};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "P-FREE-ONCE-1",
        name: "p_free_once_across_detach_collect_and_drop",
        needs: Capabilities::empty(),
        summary: "An owner is dropped once, with the last reference, in every order of detaching, dropping the \
                  handle, collecting and dropping the store.",
        run: free_once,
    },
    Case {
        number: "P-FREE-ONCE-2",
        name: "p_free_once_empty",
        needs: Capabilities::empty(),
        summary: "An owner without bytes is dropped once, with the last reference, in every order of those steps.",
        run: free_once_empty,
    },
    Case {
        number: "P-FREE-ONCE-3",
        name: "p_free_once_by_the_engine",
        needs: Capabilities::empty(),
        summary: "If the engine has the last reference, detaching or collecting the buffer drops the owner.",
        run: free_once_by_the_engine,
    },
    Case {
        number: "P-LAYOUT-1",
        name: "p_layout_a_vec_comes_back_with_its_capacity",
        needs: Capabilities::empty(),
        summary: "A `Vec<u32>` with an odd capacity goes through an engine and comes back as the same `Vec`.",
        run: same_vec,
    },
    Case {
        number: "P-UNIQUE-1",
        name: "p_unique_refused_while_exposed",
        needs: Capabilities::empty(),
        summary: "A store that an engine has cannot become unique; after detaching it can.",
        run: unique_after_detach,
    },
    Case {
        number: "P-OWNER-SEND-1",
        name: "p_owner_send_last_drop_on_another_thread",
        needs: Capabilities::empty(),
        summary: "The last reference, and the owner with it, may be dropped on another thread while the isolate lives.",
        run: last_drop_on_another_thread,
    },
    Case {
        number: "P-OWNER-SEND-2",
        name: "p_owner_send_last_drop_after_the_isolate",
        needs: Capabilities::empty(),
        summary: "A store outlives its isolate, even over the engine's own memory: it can be read, and dropped \
                  on another thread.",
        run: last_drop_after_the_isolate,
    },
    Case {
        number: "P-NO-JS-OWNER-1",
        name: "p_no_js_owner_a_store_does_not_keep_the_buffer",
        needs: Capabilities::empty(),
        summary: "A store keeps no object of script alive: a buffer is collected even if native code holds its store.",
        run: store_does_not_keep_the_buffer,
    },
    Case {
        number: "P-TEARDOWN-1",
        name: "p_teardown_with_live_handles_and_stores",
        needs: Capabilities::empty(),
        summary: "An isolate that ends with live handles and stores releases the stores, and they stay usable.",
        run: teardown_with_live_handles,
    },
    Case {
        number: "P-TEARDOWN-2",
        name: "p_teardown_with_forgotten_handles",
        needs: Capabilities::empty(),
        summary: "An isolate that ends with forgotten handles also releases its stores.",
        run: teardown_with_forgotten_handles,
    },
    Case {
        number: "P-MANUAL-1",
        name: "p_manual_destructor_frees_nothing",
        needs: Capabilities::empty(),
        summary: "Dropping a ManuallyExternalizedBuffer drops a reference and frees nothing. The memory is \
                  freed explicitly, and not while the engine has it.",
        run: destructor_frees_nothing,
    },
    Case {
        number: "P-MANUAL-2",
        name: "p_manual_second_free_is_refused",
        needs: Capabilities::empty(),
        summary: "A second free is refused with an error that names the first one. Freed memory cannot be exposed.",
        run: second_free_is_refused,
    },
    Case {
        number: "P-MAPPED-1",
        name: "p_mapped_bytes_stay_after_detach_and_collect",
        needs: Capabilities::empty(),
        summary: "The bytes of a store stay at their address after its buffer was detached or collected.",
        run: bytes_stay,
    },
];

/// Drops all references in the order with this number, and checks when the owner is dropped.
fn ends(engine: &mut dyn Engine, bytes: &[u8], order: usize) -> Result<(), Failure> {
    let (store, tally) = tallied(bytes.to_vec())?;
    let buffer = engine.expose(&store)?.0;
    let second = engine.expose(&store)?.0;
    match order {
        0 => {
            engine.detach(&buffer, None)?;
            engine.detach(&second, None)?;
            expect_eq!(tally.count(), 0, "calls of the deleter while the store lives");
            drop((buffer, second));
            settle(engine);
            drop(store);
        }
        1 => {
            drop((buffer, second));
            settle(engine);
            expect_eq!(tally.count(), 0, "calls of the deleter while the store lives");
            drop(store);
        }
        2 => {
            drop(store);
            engine.detach(&buffer, None)?;
            expect_eq!(tally.count(), 0, "calls of the deleter while a second buffer lives");
            drop(second);
            settle(engine);
        }
        _ => {
            let external = ManuallyExternalizedBuffer::new(buffer)?;
            drop((store, second));
            settle(engine);
            expect_eq!(tally.count(), 0, "calls of the deleter while the struct lives");
            engine.detach(external.buffer(), None)?;
            engine.detach(external.buffer(), None)?;
            expect_eq!(tally.count(), 0, "calls of the deleter while the struct lives, detached");
            drop(external);
        }
    }
    expect_eq!(tally.count(), 1, "calls of the deleter, order {order}");
    settle(engine);
    expect_eq!(tally.count(), 1, "calls of the deleter after one more collection, order {order}");
    Ok(())
}

fn free_once(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    (0..4).try_for_each(|order| ends(&mut *engine, &[1, 2, 3], order))
}

fn free_once_empty(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    (0..4).try_for_each(|order| ends(&mut *engine, &[], order))
}

fn free_once_by_the_engine(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(vec![1; 1000])?;
    let buffer = engine.expose(&store)?.0;
    drop(store);
    expect_eq!(engine.read(&buffer, 999)?, Some(1), "a byte that only the engine keeps");
    engine.detach(&buffer, None)?;
    expect_eq!(tally.count(), 1, "calls of the deleter after detaching");

    let (store, tally) = tallied(vec![1; 1000])?;
    let buffer = engine.expose(&store)?.0;
    drop(store);
    settle(&mut *engine);
    expect_eq!(tally.count(), 0, "calls of the deleter while a handle keeps the buffer");
    drop(buffer);
    settle(&mut *engine);
    expect_eq!(tally.count(), 1, "calls of the deleter after the collection");
    Ok(())
}

fn same_vec(lab: &Lab<'_>) -> Result<(), Failure> {
    use offheap_engine::offheap::{BackingStore, UniqueStore};

    let mut engine = lab.isolate()?;
    let mut numbers: Vec<u32> = Vec::with_capacity(13);
    numbers.extend([1, 2, 3]);
    let expected = (numbers.as_ptr(), numbers.capacity());
    let store = BackingStore::from(UniqueStore::from_owner(numbers)?);
    expect_eq!(store.byte_length(), 12, "the length of the elements, without the spare capacity of the `Vec`");
    let buffer = engine.expose(&store)?.0;
    engine.write(&buffer, 4, 0xff)?;
    engine.detach(&buffer, None)?;
    let numbers: Vec<u32> = store.try_into_unique()?.try_into_owner()?;
    expect_eq!((numbers.as_ptr(), numbers.capacity()), expected, "the `Vec` that came back");
    expect_eq!(numbers[1].to_ne_bytes()[0], 0xff, "the byte that script wrote into it");
    Ok(())
}

fn unique_after_detach(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let store = store_of(vec![4; 64])?;
    let buffer = engine.expose(&store)?.0;
    let refused = match store.try_into_unique() {
        Err(rejected) => rejected,
        Ok(_) => return Err(Failure::new("expected that a store in an engine is not unique, saw a unique store")),
    };
    let reason = refused.error();
    let names = |isolate, buffers| isolate == engine.isolate() && buffers == 1;
    let held = matches!(reason, CoreError::NotUnique { reason: NotUnique::Exposed { isolate, buffers, others: 0 }, .. }
        if names(*isolate, *buffers));
    expect!(held, "the error names the isolate and its buffer, and not: {reason}");
    let store = refused.into_inner();
    expect_eq!(engine.read(&buffer, 0)?, Some(4), "a byte after the refusal");
    engine.detach(&buffer, None)?;
    let mut unique = store.try_into_unique()?;
    unique[0] = 5;
    expect_eq!(unique.try_into_owner::<Vec<u8>>()?[..2], [5, 4], "the bytes of the owner that came back");
    Ok(())
}

fn last_drop_on_another_thread(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(vec![1; 64])?;
    let buffer = engine.expose(&store)?.0;
    engine.detach(&buffer, None)?;
    let thread = drop_elsewhere(store)?;
    let calls = tally.calls();
    expect_eq!(calls.len(), 1, "calls of the deleter");
    expect_eq!(calls[0].thread, thread, "the thread that the owner went on");
    Ok(())
}

fn drop_elsewhere<T: Send + 'static>(value: T) -> Result<thread::ThreadId, Failure> {
    let dropping = thread::spawn(move || drop(value));
    let id = dropping.thread().id();
    dropping
        .join()
        .map_err(|_| Failure::new("expected that a store is dropped on another thread, saw a panic there"))?;
    Ok(id)
}

fn last_drop_after_the_isolate(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(vec![1; 64])?;
    let exposed = engine.expose(&store)?.0;
    let made = engine.allocate(64, None)?;
    engine.write(&made, 63, 9)?;
    let of_the_engine = engine.externalize(&made)?;
    engine.shut_down();
    expect_eq!(store.exposure(), None, "the exposure of a store whose isolate ended");
    expect_eq!(of_the_engine.to_vec()?[63], 9, "a byte of memory that the engine made");
    drop((exposed, made));
    expect_eq!(tally.count(), 0, "calls of the deleter while the store lives");
    drop_elsewhere(of_the_engine)?;
    let thread = drop_elsewhere(store)?;
    expect_eq!(tally.calls().iter().map(|call| call.thread).collect::<Vec<_>>(), [thread], "where the owner went");
    Ok(())
}

fn store_does_not_keep_the_buffer(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate(64, None)?;
    let store = engine.externalize(&buffer)?;
    expect_eq!(store.exposure(), Some((engine.isolate(), 1)), "the exposure while the handle lives");
    drop(buffer);
    settle(&mut *engine);
    expect_eq!(store.exposure(), None, "the exposure after the collection");
    expect_eq!(store.reference_count(), 1, "references after the collection");
    Ok(())
}

fn teardown_with_live_handles(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(vec![8; 64])?;
    let (kept, kept_tally) = tallied(vec![8; 64])?;
    let handles = [engine.expose(&store)?.0, engine.expose(&kept)?.0, engine.allocate(16, None)?];
    let external = ManuallyExternalizedBuffer::new(handles[1].clone())?;
    drop(store);
    engine.shut_down();
    expect_eq!(tally.count(), 1, "calls of the deleter of a store that only the isolate had");
    expect_eq!(kept.exposure(), None, "the exposure of a store whose isolate ended");
    expect_eq!(external.store().to_vec()?, [8; 64], "the bytes of a store whose isolate ended");
    let gone = ManuallyExternalizedBuffer::new(handles[0].clone()).map_err(|rejected| rejected.into_parts().0);
    expect_error!(gone, Error::IsolateGone, "externalizing a handle whose isolate ended");
    drop(handles);
    drop(kept);
    expect_eq!(kept_tally.count(), 0, "calls of the deleter while the struct lives");
    drop(external);
    expect_eq!(kept_tally.count(), 1, "calls of the deleter after the struct");
    Ok(())
}

fn teardown_with_forgotten_handles(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let (store, tally) = tallied(vec![8; 64])?;
    let mut forgotten = Vec::new();
    for _ in 0..3 {
        forgotten.push(ManuallyDrop::new(engine.expose(&store)?.0));
        forgotten.push(ManuallyDrop::new(engine.allocate(16, None)?));
    }
    settle(&mut *engine);
    expect_eq!(store.exposure(), Some((engine.isolate(), 3)), "the exposure with three forgotten handles");
    engine.shut_down();
    expect_eq!(store.exposure(), None, "the exposure of a store whose isolate ended");
    drop(store);
    expect_eq!(tally.count(), 1, "calls of the deleter");
    // A forgotten handle leaks a few bytes of its own table. Leak checkers of this suite need not see that.
    forgotten.into_iter().map(ManuallyDrop::into_inner).for_each(drop);
    Ok(())
}

fn destructor_frees_nothing(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let memory = ManualMemory::allocate(1024)?;
    let buffer = engine.expose(memory.store())?.0;
    engine.write(&buffer, 0, 6)?;
    {
        let managed = ManuallyExternalizedBuffer::new(buffer.clone())?;
        expect_eq!(managed.backing_store(), memory.as_ptr(), "the address that the struct hands out");
    }
    expect_eq!(memory.freed(), None, "where the memory was freed");
    expect_eq!(engine.read(&buffer, 0)?, Some(6), "a byte after the struct is gone");
    expect_error!(memory.free(), CoreError::FreeInUse { .. }, "freeing it while the engine has it");
    expect_eq!(engine.read(&buffer, 0)?, Some(6), "a byte after the refused free");
    engine.detach(&buffer, None)?;
    memory.free()?;
    Ok(())
}

fn second_free_is_refused(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let memory = ManualMemory::allocate(1024)?;
    let managed = ManuallyExternalizedBuffer::new(engine.expose(memory.store())?.0)?;
    engine.detach(managed.buffer(), None)?;
    memory.free()?;
    let address = managed.backing_store();
    expect_error!(ManualHeap::free(address), CoreError::DoubleFree { .. }, "the second free, by address");
    expect_error!(memory.free(), CoreError::DoubleFree { .. }, "the second free, by handle");
    expect_error!(managed.store().to_vec(), CoreError::Freed { .. }, "reading freed memory");
    let exposed = engine.expose(memory.store());
    expect_error!(exposed, Error::Memory(CoreError::Freed { .. }), "exposing freed memory");
    Ok(())
}

fn bytes_stay(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffers = [engine.allocate(4096, None)?, engine.allocate(64, None)?];
    let mut stores = Vec::new();
    for buffer in &buffers {
        engine.write(buffer, 63, 3)?;
        let store = engine.externalize(buffer)?;
        stores.push((store.as_ptr(), store));
    }
    let [detached, collected] = buffers;
    engine.detach(&detached, None)?;
    drop(collected);
    settle(&mut *engine);
    for (address, store) in &stores {
        expect_eq!(store.as_ptr(), *address, "the address afterwards");
        expect_eq!(store.to_vec()?[63], 3, "a byte afterwards");
    }
    Ok(())
}
