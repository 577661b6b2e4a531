//! The stack of a thread. V8 lets script use the first `--stack-size` bytes of it: script overflows a smaller stack,
//! and cannot run further down a larger one. An isolate of ours lets script use that many bytes from where it is
//! entered, up to the end of the stack.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap::adapter::{stack_pointer, thread_stack};

use super::natives;
use crate::{ENGINE, Error};

/// V8's default if `start` did not get the flag (`V8_DEFAULT_STACK_SIZE_KB` of x64 and arm64).
const DEFAULT_SIZE: usize = 984 << 10;

/// The bytes reserved for functions of V8 and Rust that script calls near the end of the stack.
const RESERVE: usize = 128 << 10;

/// The bytes needed to make an isolate and to run a little script.
const LEAST: usize = RESERVE + (64 << 10);

static SIZE: AtomicUsize = AtomicUsize::new(DEFAULT_SIZE);

/// Records the flag `--stack-size`, in KiB.
pub(super) fn set_size(kib: usize) {
    SIZE.store(kib.saturating_mul(1 << 10), Ordering::Relaxed);
}

/// Whether this thread has enough stack left for an isolate.
pub(super) fn check() -> Result<(), Error> {
    let here = stack_pointer();
    match lowest() {
        Some(lowest) if here.saturating_sub(lowest) < LEAST => Err(Error::Unsupported {
            engine: ENGINE,
            what: "run on this thread: too little of its stack is left",
            instead: "give the thread at least 512 KiB (`std::thread::Builder::stack_size`)",
        }),
        _ => Ok(()),
    }
}

/// The address below which V8 throws a `RangeError` in an isolate. The isolate stays on its thread.
pub(super) struct StackLimit {
    /// The lowest possible limit on this thread's stack. `None` if the system does not tell it: then V8 keeps its own
    /// limit.
    least: Option<usize>,
    limit: Cell<usize>,
}

impl StackLimit {
    /// Sets the limit for a new isolate on this thread.
    pub(super) fn new(isolate: &mut v8::Isolate) -> Self {
        let least = lowest().map(|lowest| lowest + RESERVE);
        let limit = StackLimit { least, limit: Cell::new(usize::MAX) };
        limit.make_room(isolate);
        limit
    }

    /// Whether the stack is used up, so that V8 must not be called.
    #[inline]
    pub(super) fn is_exceeded(&self) -> bool {
        self.least.is_some() && stack_pointer() < self.limit.get()
    }

    /// Gives script, which is about to run, as much stack as the flag says, but never more than the thread has.
    #[inline]
    pub(super) fn make_room(&self, isolate: &mut v8::Isolate) {
        let wanted = stack_pointer().saturating_sub(SIZE.load(Ordering::Relaxed));
        if let Some(least) = self.least
            && self.limit.get() > wanted.max(least)
        {
            self.limit.set(wanted.max(least));
            natives::set_stack_limit(isolate, wanted.max(least));
        }
    }
}

/// The lowest address of this thread's stack. `None` if the system does not tell it, or if the program switched to a
/// stack that the system does not know.
fn lowest() -> Option<usize> {
    let here = stack_pointer();
    thread_stack().filter(|stack| stack.contains(&here)).map(|stack| stack.start)
}
