//! Whether a thread is inside code that must not call an engine: an observer, or an owner's drop that an engine waits for.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// How deep this thread is in such code. It nests: an observer may drop a store, which tells the observer.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is inside an observer, or inside an owner's drop that an engine waits for.
///
/// Such code must not call any engine (I-OWNER-SEND). An engine may be collecting, a buffer may look as if it still had the
/// memory that is being freed, and an adapter may be about to make a buffer over the store that was just created.
#[inline]
pub fn in_finalizer() -> bool {
    INSIDE.get() != 0
}

/// A guard: while it lives, [`in_finalizer`] is true on its thread. The core holds one around each call of the observer. An
/// adapter holds one in each function that an engine calls to release memory, where that may run the program's code.
#[must_use = "the thread may call engines again as soon as it is dropped"]
pub struct InFinalizer {
    // Not `Send`: it is dropped on the thread that made it.
    thread: PhantomData<*const ()>,
}

impl InFinalizer {
    /// Marks this thread until the guard is dropped.
    #[inline]
    pub fn enter() -> Self {
        INSIDE.set(INSIDE.get() + 1);
        InFinalizer { thread: PhantomData }
    }
}

impl Drop for InFinalizer {
    /// Runs during a panic too.
    #[inline]
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}
