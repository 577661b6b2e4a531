//! What happens to stores, told to whoever listens.
//!
//! A process has at most one observer, set once, as with a logger. While none is set an event costs one load and one
//! branch. The order of one store's events is: created; then exposed, externalized, detached, resized and released in any number;
//! then freed, right before its owner is dropped.
//!
//! An owner that is handed back is told as freed, too: its memory is no longer a store's.
//!
//! An observer may be called on any thread, inside a collection, and inside `Drop`. It must not use the store whose event
//! it is told: a freed store has no references left. It must not call an engine: while it runs, adapters refuse calls on
//! its thread ([`in_finalizer`](crate::adapter::in_finalizer)), and handles that it drops let go afterwards. It should not panic;
//! where it does, the panic goes on once what it interrupted has been undone or finished.
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
    /// An engine let go of a buffer over the store: it was detached, collected, or its isolate ended.
    Released {
        /// The engine's isolate, where the store counts its buffers: unshared and unfrozen ones do.
        isolate: Option<IsolateId>,
    },
    /// Its length changed: it was resized or grew, natively or by script. An engine that resizes its own memory tells
    /// nobody; the next event of that store has the new length.
    Resized,
    /// The memory is freed: its owner is about to be dropped, or it was freed by hand.
    Freed {
        /// Where, for manual memory.
        at: Option<Site>,
    },
}

/// One event of one store.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The store it happened to.
    pub store: StoreId,
    /// The store's kind.
    pub store_kind: StoreKind,
    /// The store's length in bytes, at this moment.
    pub byte_length: usize,
    /// The store's address. It says which memory is meant and must not be read through.
    pub address: usize,
    /// Where the store was created.
    pub created: Site,
}

/// Somebody who listens.
pub trait Observer: Send + Sync {
    /// Called for each event; see the [module](self) for what it may do.
    fn event(&self, event: &Event);
}

static OBSERVER: OnceLock<&'static dyn Observer> = OnceLock::new();

/// Sets the observer of this process, for good.
///
/// Stores that exist already keep their past to themselves: the first event of theirs that is told is their next one.
///
/// # Errors
/// [`Error::ObserverSet`] when there is one.
pub fn set_observer(observer: &'static dyn Observer) -> Result<(), Error> {
    OBSERVER.set(observer).map_err(|_| Error::ObserverSet)
}

/// Whether there is an observer. Where there is none, an adapter need not work out what it would tell one.
#[inline]
pub fn is_observed() -> bool {
    OBSERVER.get().is_some()
}

/// Tells an event, which is made only where somebody listens.
#[inline]
pub(crate) fn emit(event: impl FnOnce() -> Event) {
    if let Some(observer) = OBSERVER.get() {
        tell(*observer, event);
    }
}

// Apart from its callers, which are short where nobody listens.
#[cold]
#[inline(never)]
fn tell(observer: &dyn Observer, event: impl FnOnce() -> Event) {
    let event = event();
    let _no_engine = InFinalizer::enter();
    observer.event(&event);
}
