//! The stack of a thread. V8 lets script have the first `--stack-size` bytes of it: it overflows one that has fewer, and runs
//! nothing further down. An isolate of ours may have as many from where it is entered, as far as the stack goes.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap::adapter::thread_stack;

use super::natives;
use crate::{ENGINE, Error};

/// What V8 takes unless `start` gave it the flag (`V8_DEFAULT_STACK_SIZE_KB` of x64 and arm64).
const DEFAULT_SIZE: usize = 984 << 10;

/// What is left to calls that script makes near the end: V8's own, and those of Rust.
const RESERVE: usize = 128 << 10;

/// What it takes to make an isolate, and to run a little script.
const LEAST: usize = RESERVE + (64 << 10);

static SIZE: AtomicUsize = AtomicUsize::new(DEFAULT_SIZE);

/// Notes the flag `--stack-size`, in KiB.
pub(super) fn set_size(kib: usize) {
    SIZE.store(kib.saturating_mul(1 << 10), Ordering::Relaxed);
}

/// Whether this thread has enough stack left for an isolate.
pub(super) fn check() -> Result<(), Error> {
    let here = 0_u8;
    let here = (&raw const here).addr();
    match lowest() {
        Some(lowest) if here.saturating_sub(lowest) < LEAST => Err(Error::Unsupported {
            engine: ENGINE,
            what: "run in the little stack that this thread has left",
            instead: "give the thread at least 512 KiB (`std::thread::Builder::stack_size`)",
        }),
        _ => Ok(()),
    }
}

/// Where V8 throws a `RangeError` in an isolate, which stays on its thread.
pub(super) struct StackLimit {
    /// The least limit that this thread's stack has; `None` where the system does not tell, and V8 keeps its own.
    least: Option<usize>,
    limit: Cell<usize>,
}

impl StackLimit {
    /// That of a new isolate of this thread.
    pub(super) fn new(isolate: &mut v8::Isolate) -> Self {
        let least = lowest().map(|lowest| lowest + RESERVE);
        let limit = StackLimit { least, limit: Cell::new(usize::MAX) };
        limit.make_room(isolate);
        limit
    }

    /// Gives script of the isolate, which is about to run, the room that the flag says, and never more than there is.
    #[inline]
    pub(super) fn make_room(&self, isolate: &mut v8::Isolate) {
        let here = 0_u8;
        let wanted = (&raw const here).addr().saturating_sub(SIZE.load(Ordering::Relaxed));
        if let Some(least) = self.least
            && self.limit.get() > wanted.max(least)
        {
            self.limit.set(wanted.max(least));
            natives::set_stack_limit(isolate, wanted.max(least));
        }
    }
}

/// The lowest address of this thread's stack; `None` where the system does not tell, and where the program went to a stack of
/// its own, of which nobody does.
fn lowest() -> Option<usize> {
    let here = 0_u8;
    let here = (&raw const here).addr();
    thread_stack().filter(|stack| stack.contains(&here)).map(|stack| stack.start)
}
