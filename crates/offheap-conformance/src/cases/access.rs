//! Promises about access to bytes: I-BORROW, I-ONE-ISOLATE, and handles of other isolates.

use std::thread;

use offheap_engine::Error;
use offheap_engine::offheap::{BackingStore, Error as CoreError, FrozenStore, UniqueStore};

use super::kit::{settle, store_of};
use crate::{Capabilities, Case, Failure, Lab};

pub(super) const CASES: &[Case] = &[
    Case {
        number: "P-BORROW-1",
        name: "p_borrow_a_writer_keeps_everybody_away",
        needs: Capabilities::empty(),
        summary: "While a guard writes, another handle can neither read nor write, on this thread or another, \
                  and no engine gets the store.",
        run: writer_keeps_away,
    },
    Case {
        number: "P-BORROW-2",
        name: "p_borrow_readers_keep_writers_away",
        needs: Capabilities::empty(),
        summary: "While a guard reads, others may read, but writes are refused, and no engine gets the store.",
        run: readers_keep_writers_away,
    },
    Case {
        number: "P-BORROW-3",
        name: "p_borrow_no_guard_while_exposed",
        needs: Capabilities::empty(),
        summary: "While an engine has a store, guards outside are refused with an error that names the \
                  isolate. Copies are allowed, from any thread.",
        run: no_guard_while_exposed,
    },
    Case {
        number: "P-ONE-ISOLATE-1",
        name: "p_one_isolate_second_is_refused_until_detached",
        needs: Capabilities::empty(),
        summary: "A store that one isolate has is refused to a second one, with an error that names the first, \
                  until its buffers are detached.",
        run: refused_until_detached,
    },
    Case {
        number: "P-ONE-ISOLATE-2",
        name: "p_one_isolate_second_is_refused_until_collected",
        needs: Capabilities::empty(),
        summary: "A store that one isolate has is refused to a second one until its buffers are collected, or \
                  the isolate has ended.",
        run: refused_until_collected,
    },
    Case {
        number: "P-ONE-ISOLATE-3",
        name: "p_one_isolate_frozen_memory_in_two",
        needs: Capabilities::IMMUTABLE,
        summary: "Frozen memory is exposed in two isolates at once, without a copy.",
        run: frozen_in_two,
    },
    Case {
        number: "P-ONE-BUFFER-1",
        name: "p_one_buffer_over_resizable_memory",
        needs: Capabilities::RESIZABLE,
        summary: "Resizable memory has at most one live buffer: exposing it a second time is refused, or makes \
                  a reported copy.",
        run: one_buffer_over_resizable_memory,
    },
    Case {
        number: "P-TWO-BUFFERS-1",
        name: "p_two_buffers_over_one_store",
        needs: Capabilities::empty(),
        summary: "Two buffers over one store see each other's writes. Detaching one leaves the other unchanged.",
        run: two_buffers,
    },
    Case {
        number: "P-WRONG-ISOLATE-1",
        name: "p_wrong_isolate_every_verb_refuses",
        needs: Capabilities::empty(),
        summary: "A handle of one isolate is refused by every function of another, and its buffer does not change.",
        run: wrong_isolate,
    },
    Case {
        number: "P-WRONG-ISOLATE-2",
        name: "p_wrong_isolate_after_the_first_has_ended",
        needs: Capabilities::empty(),
        summary: "A handle whose isolate has ended is refused by the next isolate, even if that has the same number.",
        run: isolate_that_has_ended,
    },
];

fn writer_keeps_away(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let mut store = store_of(vec![0; 64])?;
    let mut other = store.clone();
    let elsewhere = store.clone();
    {
        let mut guard = store.bytes_mut()?;
        expect_error!(other.bytes_mut(), CoreError::Busy { .. }, "a second writer");
        expect_error!(other.bytes(), CoreError::Busy { .. }, "a reader beside a writer");
        expect_error!(other.to_vec(), CoreError::Busy { .. }, "a copy beside a writer");
        expect_error!(engine.expose(&other), Error::Memory(CoreError::Busy { .. }), "exposing beside a writer");
        expect_error!(on_another_thread(elsewhere)?, CoreError::Busy { .. }, "a writer on another thread");
        guard[0] = 1;
    }
    other.bytes_mut()?[1] = 2;
    let buffer = engine.expose(&other)?.0;
    expect_eq!(engine.read(&buffer, 0)?, Some(1), "the byte that the guard wrote");
    Ok(())
}

/// Whether another thread can write the store.
fn on_another_thread(mut store: BackingStore) -> Result<Result<(), CoreError>, Failure> {
    let writing = thread::spawn(move || store.bytes_mut().map(|mut guard| guard[0] = 9));
    writing.join().map_err(|_| Failure::new("expected an answer from another thread, saw a panic there"))
}

fn readers_keep_writers_away(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let store = store_of(vec![7; 64])?;
    let mut other = store.clone();
    let (elsewhere, later) = (store.clone(), store.clone());
    {
        let guard = store.bytes()?;
        expect_eq!(other.bytes()?[0], guard[0], "the byte that a second reader sees");
        expect_error!(other.bytes_mut(), CoreError::Busy { .. }, "a writer beside a reader");
        expect_error!(engine.expose(&other), Error::Memory(CoreError::Busy { .. }), "exposing beside a reader");
        expect_error!(on_another_thread(elsewhere)?, CoreError::Busy { .. }, "a writer on another thread");
    }
    on_another_thread(later)??;
    expect_eq!(other.bytes()?[0], 9, "the byte that another thread wrote afterwards");
    Ok(())
}

fn no_guard_while_exposed(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let here = engine.isolate();
    let mut store = store_of(vec![0; 64])?;
    let buffer = engine.expose(&store)?.0;
    engine.write(&buffer, 1, 5)?;
    let elsewhere = store.clone();
    let refused = on_another_thread(store.clone())?;
    expect_error!(refused, CoreError::Exposed { isolate, .. } if isolate == here, "a writer on another thread");
    expect_error!(store.bytes(), CoreError::Exposed { isolate, .. } if isolate == here, "a reader outside");
    expect_error!(store.bytes_mut(), CoreError::Exposed { isolate, .. } if isolate == here, "a writer outside");
    let copied = thread::spawn(move || elsewhere.to_vec()).join();
    let copied = copied.map_err(|_| Failure::new("expected a copy from another thread, saw a panic there"))??;
    expect_eq!(copied[1], 5, "a copy from another thread");
    engine.detach(&buffer, None)?;
    store.bytes_mut()?[1] = 6;
    Ok(())
}

fn refused_until_detached(lab: &Lab<'_>) -> Result<(), Failure> {
    let (mut first, mut second) = (lab.isolate()?, lab.isolate()?);
    let here = first.isolate();
    expect!(here != second.isolate(), "two living isolates have two ids");
    let store = store_of(vec![0; 64])?;
    let buffers = [first.expose(&store)?.0, first.expose(&store)?.0];
    for (buffer, live) in buffers.iter().zip([2, 1]) {
        let refused = second.expose(&store);
        expect_error!(
            refused,
            Error::Memory(CoreError::OtherIsolate { isolate, buffers, .. }) if isolate == here && buffers == live,
            "exposing it in a second isolate, live buffers in the first: {live}"
        );
        first.detach(buffer, None)?;
    }
    let buffer = second.expose(&store)?.0;
    expect_eq!(store.exposure(), Some((second.isolate(), 1)), "the exposure in the second isolate");
    second.write(&buffer, 0, 1)?;
    expect_error!(first.expose(&store), Error::Memory(CoreError::OtherIsolate { .. }), "exposing it in the first");
    Ok(())
}

fn refused_until_collected(lab: &Lab<'_>) -> Result<(), Failure> {
    let (mut first, mut second) = (lab.isolate()?, lab.isolate()?);
    let store = store_of(vec![0; 64])?;
    let buffer = first.expose(&store)?.0;
    let refused = second.expose(&store);
    expect_error!(refused, Error::Memory(CoreError::OtherIsolate { .. }), "exposing it in a second isolate");
    drop(buffer);
    settle(&mut *first);
    let buffer = second.expose(&store)?.0;
    let refused = first.expose(&store);
    expect_error!(refused, Error::Memory(CoreError::OtherIsolate { .. }), "exposing it in the first isolate again");
    second.shut_down();
    expect!(first.expose(&store)?.1.is_external(), "the first isolate gets it when the second has ended");
    drop(buffer);
    Ok(())
}

fn frozen_in_two(lab: &Lab<'_>) -> Result<(), Failure> {
    let (mut first, mut second) = (lab.isolate()?, lab.isolate()?);
    let store = BackingStore::from(FrozenStore::from_owner(std::sync::Arc::<[u64]>::from([1, 2, 3]))?);
    let ((here, how_here), (there, how_there)) = (first.expose(&store)?, second.expose(&store)?);
    expect!(how_here.is_external() && how_there.is_external(), "both get the memory itself");
    expect_eq!(first.read(&here, 0)?, second.read(&there, 0)?, "a byte in both");
    expect_eq!(store.exposure(), None, "frozen memory counts no buffers");
    Ok(())
}

fn one_buffer_over_resizable_memory(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let buffer = engine.allocate(16, Some(64))?;
    engine.write(&buffer, 0, 1)?;
    let store = engine.externalize(&buffer)?;
    match engine.expose(&store) {
        Ok((copy, exposure)) => {
            expect!(!exposure.is_external(), "a second buffer over resizable memory is a reported copy");
            engine.write(&copy, 0, 2)?;
            expect_eq!(engine.read(&buffer, 0)?, Some(1), "a byte of the first buffer after a write to the copy");
        }
        Err(error) => {
            let refused = matches!(error, Error::Memory(CoreError::OneBuffer { .. }));
            expect!(refused, "the error says that there is a live buffer, and not: {error}");
        }
    }
    engine.resize(&buffer, 64)?;
    expect_eq!(store.byte_length(), 64, "the length after growing the only buffer");
    Ok(())
}

fn two_buffers(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut engine = lab.isolate()?;
    let store = store_of(vec![0; 64])?;
    let (first, second) = (engine.expose(&store)?.0, engine.expose(&store)?.0);
    engine.write(&first, 3, 33)?;
    expect_eq!(
        engine.read(&second, 3)?,
        Some(33),
        "the byte written through the first buffer, read through the second"
    );
    expect_eq!(engine.externalize(&first)?, engine.externalize(&second)?, "the stores of both");
    engine.detach(&first, None)?;
    expect!(!engine.state(&second)?.detached, "the second buffer is not detached with the first");
    expect_eq!(engine.read(&second, 3)?, Some(33), "a byte through the second buffer");
    expect_eq!(store.exposure(), Some((engine.isolate(), 1)), "the exposure with one buffer left");
    Ok(())
}

fn wrong_isolate(lab: &Lab<'_>) -> Result<(), Failure> {
    let (mut first, mut second) = (lab.isolate()?, lab.isolate()?);
    let buffer = first.allocate(16, None)?;
    let what = "a handle of another isolate";
    expect_error!(second.externalize(&buffer), Error::WrongIsolate { .. }, "externalize: {what}");
    expect_error!(second.detach(&buffer, None), Error::WrongIsolate { .. }, "detach: {what}");
    expect_error!(second.transfer(&buffer, None), Error::WrongIsolate { .. }, "transfer: {what}");
    expect_error!(second.resize(&buffer, 8), Error::WrongIsolate { .. }, "resize: {what}");
    expect_error!(second.state(&buffer), Error::WrongIsolate { .. }, "state: {what}");
    expect_error!(second.read(&buffer, 0), Error::WrongIsolate { .. }, "read: {what}");
    expect_error!(second.write(&buffer, 0, 1), Error::WrongIsolate { .. }, "write: {what}");
    if second.capabilities().contains(Capabilities::DETACH_KEYS) {
        expect_error!(second.set_detach_key(&buffer, None), Error::WrongIsolate { .. }, "set_detach_key: {what}");
    }
    if second.capabilities().contains(Capabilities::SCRIPT) {
        expect_error!(second.set_global("b", &buffer), Error::WrongIsolate { .. }, "set_global: {what}");
    }
    let state = first.state(&buffer)?;
    expect_eq!((state.detached, state.byte_length), (false, 16), "the buffer's state after all that");
    expect_eq!(first.read(&buffer, 0)?, Some(0), "its first byte after all that");
    Ok(())
}

fn isolate_that_has_ended(lab: &Lab<'_>) -> Result<(), Failure> {
    let mut first = lab.isolate()?;
    let store = BackingStore::from(UniqueStore::zeroed(16)?);
    let buffer = first.expose(&store)?.0;
    first.shut_down();
    let mut second = lab.isolate()?;
    let same = second.allocate(32, None)?;
    let refused = second.state(&buffer);
    expect_error!(refused, Error::IsolateGone, "the state of a handle whose isolate ended");
    let refused = second.write(&buffer, 0, 1);
    expect_error!(refused, Error::IsolateGone, "writing to a handle whose isolate ended");
    drop(buffer);
    expect_eq!(second.state(&same)?.byte_length, 32, "the length of the next isolate's own buffer");
    expect_eq!(store.to_vec()?, [0; 16], "the bytes of the store");
    Ok(())
}
