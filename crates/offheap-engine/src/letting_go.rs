//! What an engine calls when it lets go of memory: an owner's drop or an observer, which it is waiting for.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Error;

thread_local! {
    /// How many callbacks of this thread are letting go of memory: some engine's code is in the middle of something then.
    static LETTING_GO: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is inside an owner's drop, or an observer, that an engine is waiting for. For adapters: nothing of
/// any engine may be called from there (I-OWNER-SEND), since a buffer may look as if it still had the memory that is being
/// freed, and the engine may be collecting.
#[inline]
pub fn is_letting_go() -> bool {
    LETTING_GO.get() != 0
}

/// The error of a call of `engine` that [`is_letting_go`] forbids. For adapters.
pub fn letting_go(engine: &'static str) -> Error {
    Error::Unsupported {
        engine,
        what: "be called from an owner's drop or an observer, which an engine is waiting for",
        instead: "note what is to be done, and do it afterwards",
    }
}

/// Runs what `engine` called to let go of memory. For adapters. Nothing may unwind into C, so a panic ends the process here
/// (I-NO-UNWIND), with a message.
#[inline]
pub fn while_letting_go<R>(engine: &'static str, body: impl FnOnce() -> R) -> R {
    LETTING_GO.set(LETTING_GO.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| panicked(engine));
    LETTING_GO.set(LETTING_GO.get() - 1);
    result
}

#[cold]
fn panicked(engine: &'static str) -> ! {
    eprintln!("offheap: an owner's drop or an observer panicked while {engine} was letting go of a buffer");
    std::process::abort()
}
