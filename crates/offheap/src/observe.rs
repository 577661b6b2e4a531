//! Events of stores, and the observer that receives them.
//!
//! A process has at most one observer, which is set once, like a logger. While none is set, an event costs one load and one
//! branch. The events of one store come in this order: created; any number of exposed, externalized, detached, resized and
//! released; freed, right before its owner is dropped.
//!
//! An owner that is taken back is reported as freed too, since its memory is no longer a store's.
//!
//! An observer may be called on any thread, inside a collection, and inside `Drop`. It must not use the store of the event:
//! a freed store has no references left. It must not call an engine: while it runs, adapters refuse calls on its thread
//! ([`in_finalizer`](crate::adapter::in_finalizer)), and handles that it drops are released afterwards. It should not
//! panic. If it does, the operation that told it is undone or finished before the panic goes on.
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

use std::sync::OnceLock;

use crate::finalizer::InFinalizer;
use crate::{Error, IsolateId, Site, StoreId, StoreKind};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A store was made.
    Created,
    /// An engine got a buffer over the store.
    Exposed {
        /// The engine's isolate.
        isolate: IsolateId,
    },
    /// Native code took a reference to the store of an engine's buffer.
    Externalized {
        /// The engine's isolate.
        isolate: IsolateId,
    },
    /// Native code detached a buffer over the store.
    Detached {
        /// The engine's isolate.
        isolate: IsolateId,
    },
    /// An engine released a buffer over the store: the buffer was detached or collected, or its isolate ended.
    Released {
        /// The engine's isolate, if the store counts its buffers, as unshared memory that may be written does.
        isolate: Option<IsolateId>,
    },
    /// Its length was changed, by native code or by script. An engine that resizes its own memory causes no event; the
    /// store's next event has the new length.
    Resized,
    /// The memory is freed: its owner is about to be dropped, or it was freed by hand.
    Freed {
        /// The place of the free, for manual memory.
        at: Option<Site>,
    },
}

/// One event of one store.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The id of the store.
    pub store: StoreId,
    /// The store's kind.
    pub store_kind: StoreKind,
    /// The store's length in bytes, at this moment.
    pub byte_length: usize,
    /// The store's address. It identifies the memory, and must not be read through.
    pub address: usize,
    /// Where the store was created.
    pub created: Site,
}

/// A receiver of events.
pub trait Observer: Send + Sync {
    /// Called for each event. The [module](self) says what it must not do.
    fn event(&self, event: &Event);
}

static OBSERVER: OnceLock<&'static dyn Observer> = OnceLock::new();

/// Sets the observer of this process. It cannot be changed or removed afterwards.
///
/// Earlier events are not replayed; an existing store first appears at its next event.
///
/// # Errors
/// [`Error::ObserverSet`] if there is one.
pub fn set_observer(observer: &'static dyn Observer) -> Result<(), Error> {
    OBSERVER.set(observer).map_err(|_| Error::ObserverSet)
}

/// Whether there is an observer. Where there is none, an adapter need not work out what it would tell one.
#[inline]
pub fn is_observed() -> bool {
    OBSERVER.get().is_some()
}

/// Tells the observer an event, which is made only if there is an observer.
#[inline]
pub(crate) fn emit(event: impl FnOnce() -> Event) {
    if let Some(observer) = OBSERVER.get() {
        tell(*observer, event);
    }
}

// A function of its own, so that its callers stay short.
#[cold]
#[inline(never)]
fn tell(observer: &dyn Observer, event: impl FnOnce() -> Event) {
    let event = event();
    let _no_engine = InFinalizer::enter();
    observer.event(&event);
}
