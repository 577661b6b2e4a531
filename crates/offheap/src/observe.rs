//! Events of stores, and the observer that receives them.
//!
//! A process has at most one observer, which is set once, like a logger. While none is set, an event costs one load and one
//! branch. The events of one store come in this order: created; any number of exposed, externalized, detached,
//! transferred, resized and released; freed, right before its owner is dropped.
//!
//! With the feature `track-handles` there are two more events, for each native handle: referenced, with the place that took it
//! and its range, and dropped. Programs do the same with the feature as without it; handles are one word larger.
//!
//! For numbers without events there are [totals](start_counting), which cost less and need no observer.
//!
//! An owner that is taken back is reported as freed too, since its memory is no longer a store's.
//!
//! An observer may be called on any thread, inside a collection, and inside `Drop`. It must not use the store of the event:
//! a freed store has no references left. It must not call an engine: while it runs, adapters refuse calls on its thread
//! ([`in_finalizer`](crate::adapter::in_finalizer)), and handles that it drops are released afterwards. No lock of this
//! crate is held while it runs. It should not panic. If it does, the operation that told it is undone or finished before the
//! panic goes on.
//!
//! ```
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! use offheap::observe::{Event, EventKind, Observer, set_observer};
//!
//! struct Counter(AtomicUsize);
//!
//! impl Observer for Counter {
//!     fn event(&self, event: &Event) {
//!         if event.kind == EventKind::Created {
//!             self.0.fetch_add(1, Ordering::Relaxed);
//!         }
//!     }
//! }
//!
//! static COUNTER: Counter = Counter(AtomicUsize::new(0));
//! set_observer(&COUNTER)?;
//! drop(offheap::UniqueStore::zeroed(8)?);
//! assert_eq!(COUNTER.0.load(Ordering::Relaxed), 1);
//! # Ok::<(), offheap::Error>(())
//! ```

use crate::BackingStore;
pub use crate::event::{
    BlockKey, Event, EventKind, Observer, ReferenceId, Refusal, TRACKS_HANDLES, Totals, decline_bytes, is_observed,
    set_observer, start_counting, totals,
};
pub use crate::raw::Holders;
pub use crate::script_stack::{ScriptFrame, ScriptStack, script_stack};

/// Whether [`totals`] count this store: not if it was made before [`start_counting`]. All handles to a store give the same answer.
pub fn is_counted(store: &BackingStore) -> bool {
    store.raw().is_counted()
}

/// Who has a store at this moment: the numbers that its control block keeps. They may change while they are read.
///
/// It takes no lock, reads a few numbers and changes nothing, so an observer may call it.
///
/// # Safety
/// `block` is the newest key of its store: that of the last event whose call of [`Observer::event`] has begun. The call for
/// the store's [`Freed`](EventKind::Freed) event does not return before this function does, and neither does the call for a
/// [`BlockMoved`](EventKind::BlockMoved) event after which another key is the newest. An observer that handles both kinds
/// under a lock keeps this promise by holding that lock here.
#[allow(unsafe_code, reason = "declares the contract; the block that relies on it is in `raw`")]
pub unsafe fn holders(block: BlockKey) -> Holders {
    // SAFETY: I-OBSERVED: the caller's promise, passed on.
    unsafe { Holders::read(block) }
}
