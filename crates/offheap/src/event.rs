//! What an observer is told: events of stores and refusals. [`observe`](crate::observe) is the public module.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::OnceLock;
// Not through `crate::sync`: a static cannot be a loom atomic. It only gains bits, and orders no other memory.
#[cfg(feature = "track-handles")]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::finalizer::InFinalizer;
use crate::{Error, IsolateId, Site, StoreId, StoreKind};

mod refusal;
mod totals;

pub use refusal::Refusal;
pub use totals::{Totals, totals};
pub(crate) use totals::{count_freed, count_made, count_resized, count_shared};

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
    /// The memory moved from a buffer to a new one, which is in the same isolate: native code called an adapter's `transfer`, or
    /// script called `transfer` where the adapter replaces it, as in an isolate of QuickJS. Other transfers are not told: the
    /// engine moves the memory itself.
    Transferred {
        /// The engine's isolate.
        isolate: IsolateId,
    },
    /// An engine released a buffer over the store: the buffer was detached or collected, or its isolate ended.
    Released {
        /// The engine's isolate. `None` for shared and read-only memory, which any number of isolates may have, if the
        /// adapter cannot tell which one released it.
        isolate: Option<IsolateId>,
    },
    /// Its length was changed, by native code or by script. An engine that resizes its own memory causes no event; the
    /// store's next event has the new length.
    Resized,
    /// The store got another control block, and [`Event::block`] has the new key: it became a [`UniqueStore`] while there
    /// were weak handles. Its id, its bytes and its address are those that it had.
    ///
    /// [`UniqueStore`]: crate::UniqueStore
    BlockMoved,
    /// A native handle to the store was made: the first one of a new store, a clone, a part, or one that an engine's buffer
    /// or a weak handle gave. A guard is no handle. A store that changes its type (`BackingStore::from(unique)`) mostly
    /// stays the same handle. Only told with the feature `track-handles`.
    Referenced {
        /// The handle.
        reference: ReferenceId,
        /// The place that made it.
        at: Site,
        /// Where the handle's bytes begin in the store.
        from: usize,
        /// Where they end; `usize::MAX` for a handle to all of the store, whatever its length becomes.
        to: usize,
    },
    /// A native handle was dropped. Only told with the feature `track-handles`.
    Dropped {
        /// The handle.
        reference: ReferenceId,
    },
    /// The memory is freed: its owner is about to be dropped, or it was freed by hand.
    Freed {
        /// The place of the free, for manual memory.
        at: Option<Site>,
    },
}

/// A number for a native handle to a store. No other handle of this process ever gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReferenceId(NonZeroU64);

impl ReferenceId {
    #[cfg(feature = "track-handles")]
    pub(crate) fn next() -> Self {
        static BATCHES: AtomicU64 = AtomicU64::new(0);
        thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
        ReferenceId(NEXT.with(|next| crate::id::next_number(&BATCHES, next)))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// Whether the crate was compiled with the feature `track-handles`, so that the observer hears of each native handle.
pub const TRACKS_HANDLES: bool = cfg!(feature = "track-handles");

/// The address of a store's control block, for [`holders`](crate::observe::holders).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockKey(usize);

impl BlockKey {
    #[inline]
    pub(crate) fn new(address: usize) -> Self {
        BlockKey(address)
    }

    pub(crate) fn address(self) -> usize {
        self.0
    }
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
    pub(crate) block: BlockKey,
}

impl Event {
    /// The store's control block, for [`holders`](crate::observe::holders). It stays valid until the call of the observer
    /// for the store's [`Freed`](EventKind::Freed) event returns, or for its [`BlockMoved`](EventKind::BlockMoved) event,
    /// which has another key.
    pub fn block(&self) -> BlockKey {
        self.block
    }
}

/// A receiver of events.
pub trait Observer: Send + Sync {
    /// Called for each event. The [module](crate::observe) says what it must not do.
    fn event(&self, event: &Event);

    /// Whether to tell events at all. An observer that needs only refusals and [totals](crate::observe::totals) returns
    /// false, and then costs nothing while stores are used. [`set_observer`](crate::observe::set_observer) asks this once.
    fn wants_events(&self) -> bool {
        true
    }

    /// Whether to find out the functions of script that a thread is in, where script waits for native code:
    /// [`script_stack`](crate::observe::script_stack) has them then. An engine needs some microseconds for it, in each call of a
    /// native function of an isolate, and elsewhere with the events.
    /// [`set_observer`](crate::observe::set_observer) asks this once.
    fn wants_script_stacks(&self) -> bool {
        false
    }

    /// Whether to tell the events of a store that is about to be made. A store that is declined is never told of: no event
    /// and no later question. So an observer that samples pays for the stores that it chose. Refusals are told for all.
    ///
    /// It is called once for each store, right before the store is made, which may still fail. Stores that exist when the
    /// observer is set are told of without a question. It may call [`decline_bytes`](crate::observe::decline_bytes), so that
    /// it is not even called for the stores in between.
    fn wants(&self, byte_length: usize, kind: StoreKind) -> bool {
        let _ = (byte_length, kind);
        true
    }

    /// Called when an operation on memory is refused that a correct program does not attempt: a second free, a free of memory
    /// in use, a free of an address that is not manual memory. The operation's caller gets the error afterwards.
    fn refused(&self, refusal: &Refusal<'_>) {
        let _ = refusal;
    }
}

static OBSERVER: OnceLock<&'static dyn Observer> = OnceLock::new();

/// What is on, as bits that are never removed again.
static STATE: AtomicU8 = AtomicU8::new(0);
/// There is an observer, which is told events.
const OBSERVED: u8 = 1;
/// Stores are counted.
const COUNTING: u8 = 2;
/// The observer is told events, and wants the stacks of script with them.
const SCRIPT_STACKS: u8 = 4;

/// Sets the observer of this process. It cannot be changed or removed afterwards.
///
/// Earlier events are not replayed; an existing store first appears at its next event.
///
/// # Errors
/// [`Error::ObserverSet`] if there is one.
pub fn set_observer(observer: &'static dyn Observer) -> Result<(), Error> {
    let bits = match (observer.wants_events(), observer.wants_script_stacks()) {
        (false, _) => 0,
        (true, false) => OBSERVED,
        (true, true) => OBSERVED | SCRIPT_STACKS,
    };
    OBSERVER.set(observer).map_err(|_| Error::ObserverSet)?;
    STATE.fetch_or(bits, Ordering::Release);
    Ok(())
}

/// Counts all stores of this process that are made from now on, for [`totals`](crate::observe::totals). It cannot be turned
/// off again.
///
/// Each thread counts in memory of its own: an addition or two when a store is made or freed, without a locked instruction.
/// A thread's first count takes a lock and allocates 128 bytes, which the next thread uses once this one has ended.
///
/// ```
/// use offheap::observe;
///
/// observe::start_counting();
/// let store = offheap::UniqueStore::zeroed(100)?;
/// let totals = observe::totals();
/// assert_eq!((totals.live_stores(), totals.live_bytes()), (1, 100));
/// drop(store);
/// assert_eq!(observe::totals().live_stores(), 0);
/// # Ok::<(), offheap::Error>(())
/// ```
pub fn start_counting() {
    STATE.fetch_or(COUNTING, Ordering::Release);
}

/// The bytes that this thread declines without a question.
#[inline]
fn to_decline<R>(of: impl FnOnce(&Cell<u64>) -> R) -> R {
    // Inside of a function that is inlined, the compiler inlines the access too.
    thread_local!(static TO_DECLINE: Cell<u64> = const { Cell::new(0) });
    TO_DECLINE.with(of)
}

/// Declines the stores that this thread makes next, without a question to the observer, until their lengths add up to
/// `bytes`. The observer is asked for the store with which they do. A store without bytes counts as one byte.
///
/// An observer that samples by bytes calls this in [`Observer::wants`] with the distance to its next sample. A store in
/// between then costs a subtraction.
pub fn decline_bytes(bytes: u64) {
    to_decline(|left| left.set(bytes));
}

/// Whether the observer declines a store that is about to be made. It may panic.
#[inline]
fn is_declined(byte_length: usize, kind: StoreKind) -> bool {
    let length = byte_length.max(1) as u64;
    let left = to_decline(|left| left.replace(left.get().saturating_sub(length)));
    left > length || asks_and_is_declined(byte_length, kind)
}

#[cold]
#[inline(never)]
fn asks_and_is_declined(byte_length: usize, kind: StoreKind) -> bool {
    OBSERVER.get().is_some_and(|observer| {
        let _no_engine = InFinalizer::enter();
        !observer.wants(byte_length, kind)
    })
}

/// Whether there is an observer of events. Where there is none, an adapter need not work out what it would tell one.
// Once a thread has told an event of a store, every thread that uses the store later sees that there is an observer: the
// bit is never removed, and what orders the two uses orders their loads (I-OBSERVED).
#[inline]
pub fn is_observed() -> bool {
    STATE.load(Ordering::Relaxed) & OBSERVED != 0
}

/// Whether there is an observer that wants the stacks of script, and the engine may be asked for that of this moment, which is not
/// known yet.
#[inline]
pub(crate) fn wants_script_stacks() -> bool {
    STATE.load(Ordering::Relaxed) & SCRIPT_STACKS != 0 && crate::script_stack::may_ask()
}

/// Whether the observer has declined a store of this length already, if it is the next one of this thread.
pub(crate) fn will_be_declined(byte_length: usize) -> bool {
    to_decline(Cell::get) > byte_length.max(1) as u64
}

/// Whether nobody observes and nothing is counted, which costs one load and one branch.
#[inline]
pub(crate) fn is_off() -> bool {
    STATE.load(Ordering::Relaxed) == 0
}

/// How one store takes part. Part of its control block.
#[derive(Clone, Copy, Default)]
pub(crate) struct Part {
    /// Whether it was counted when it was made, and is to be counted when it is freed.
    pub(crate) counted: bool,
    /// Whether the observer does not want to hear of it.
    pub(crate) declined: bool,
}

impl Part {
    /// The part of a store that is about to be made. The observer may panic.
    #[inline]
    pub(crate) fn of_new(byte_length: usize, kind: StoreKind) -> Self {
        let state = STATE.load(Ordering::Relaxed);
        Part { counted: state & COUNTING != 0, declined: state & OBSERVED != 0 && is_declined(byte_length, kind) }
    }
}

/// Tells the observer an event.
// A function of its own, so that its callers stay short.
#[cold]
#[inline(never)]
pub(crate) fn tell(event: &Event) {
    if let Some(observer) = OBSERVER.get() {
        let _no_engine = InFinalizer::enter();
        observer.event(event);
    }
}

/// Tells the observer a refusal. No lock may be held.
#[cold]
pub(crate) fn tell_refusal(refusal: &Refusal<'_>) {
    if let Some(observer) = OBSERVER.get() {
        let _no_engine = InFinalizer::enter();
        observer.refused(refusal);
    }
}
