//! Whether a thread is inside of something that must not call an engine: an observer, or an owner's drop that an engine is
//! waiting for.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// How many of them this thread is in. They nest: an observer may drop a store, which tells the observer.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is inside an observer, or inside an owner's drop that an engine is waiting for.
///
/// Nothing of any engine may be called from there (I-OWNER-SEND). An engine may be collecting, a buffer may look as if it
/// still had the memory that is being freed, and an adapter may be about to put a buffer over the store that was just made.
#[inline]
pub fn in_finalizer() -> bool {
    INSIDE.get() != 0
}

/// While this lives [`in_finalizer`] is true on its thread. The core has one around each event that it tells. An adapter has
/// one around what an engine calls to let go of memory.
#[must_use = "the thread may call engines again as soon as it is dropped"]
pub struct InFinalizer {
    // It is dropped on the thread that made it.
    thread: PhantomData<*const ()>,
}

impl InFinalizer {
    /// From here on nothing of any engine may be called.
    #[inline]
    pub fn enter() -> Self {
        INSIDE.set(INSIDE.get() + 1);
        InFinalizer { thread: PhantomData }
    }
}

impl Drop for InFinalizer {
    /// A panic goes through here, too.
    #[inline]
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}
