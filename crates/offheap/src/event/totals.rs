//! Totals of all stores, which each thread counts for itself.

use std::cell::Cell;
// Not through `crate::sync`: a static cannot be a loom atomic, and a sum needs no model.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Length, StoreKind};

/// The stores that were made and freed since [`start_counting`](crate::observe::start_counting), and their bytes.
///
/// The bytes of a store count with the length that it was made with. Where that changes, the difference counts too: growth
/// as made, and a shorter length as freed. An engine's own memory counts as a store and not in bytes, because the engine
/// changes its length without telling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// The number of stores that were made.
    pub stores_made: u64,
    /// How many of those were freed.
    pub stores_freed: u64,
    /// Their bytes when they were made, and those that they grew by.
    pub bytes_made: u64,
    /// The bytes that they shrank by, and those that they had when they were freed.
    pub bytes_freed: u64,
    /// How many of the stores that were made are unshared memory whose length changes.
    pub resizable_made: u64,
    /// How many of the stores that were made are shared.
    pub shared_made: u64,
}

impl Totals {
    /// The number of stores that live.
    pub fn live_stores(&self) -> u64 {
        self.stores_made.saturating_sub(self.stores_freed)
    }

    /// The bytes of the stores that live.
    pub fn live_bytes(&self) -> u64 {
        self.bytes_made.saturating_sub(self.bytes_freed)
    }
}

/// The present totals, summed over all threads that run or have ended. Zeros before [`start_counting`](crate::observe::start_counting).
///
/// What this thread did before, and what other threads did before something that this thread has seen, is in the sum. While
/// other threads go on, the sum is from about this moment, and no free is in it whose store is not.
pub fn totals() -> Totals {
    let registry = Registry::lock();
    let slots = || registry.all.iter().copied().chain([&OTHERS]);
    let mut totals = Totals::default();
    // Frees first: whoever sees the free of a store then sees that it was made.
    for Slot { stores_freed, bytes_freed, .. } in slots() {
        totals.stores_freed += stores_freed.load(Ordering::Acquire);
        totals.bytes_freed += bytes_freed.load(Ordering::Acquire);
    }
    for Slot { stores_made, bytes_made, resizable_made, shared_made, .. } in slots() {
        totals.stores_made += stores_made.load(Ordering::Acquire);
        totals.bytes_made += bytes_made.load(Ordering::Acquire);
        totals.resizable_made += resizable_made.load(Ordering::Acquire);
        totals.shared_made += shared_made.load(Ordering::Acquire);
    }
    totals
}

/// Counts a store that was made.
#[inline]
pub(crate) fn count_made(byte_length: usize, kind: StoreKind) {
    let of = Counts::of_thread();
    of.add(&of.slot.stores_made, 1);
    of.add(&of.slot.bytes_made, bytes(byte_length, kind));
    if kind.is_shared() {
        of.add(&of.slot.shared_made, 1);
    } else if kind.length() != Length::Fixed {
        of.add(&of.slot.resizable_made, 1);
    }
}

/// Counts a store that is freed, with its present length.
#[inline]
pub(crate) fn count_freed(byte_length: usize, kind: StoreKind) {
    let of = Counts::of_thread();
    of.add(&of.slot.bytes_freed, bytes(byte_length, kind));
    of.add(&of.slot.stores_freed, 1);
}

/// Counts the change of a length.
pub(crate) fn count_resized(before: usize, byte_length: usize) {
    let of = Counts::of_thread();
    match byte_length.checked_sub(before) {
        Some(grown) => of.add(&of.slot.bytes_made, grown as u64),
        None => of.add(&of.slot.bytes_freed, (before - byte_length) as u64),
    }
}

/// Counts that a store of fixed length, which was counted as unshared, is shared.
pub(crate) fn count_shared() {
    let of = Counts::of_thread();
    of.add(&of.slot.shared_made, 1);
}

#[inline]
fn bytes(byte_length: usize, kind: StoreKind) -> u64 {
    if kind.is_of_engine() { 0 } else { byte_length as u64 }
}

/// The counts of one thread at a time. Each has cache lines of its own, two because processors fetch lines in pairs.
#[repr(align(128))]
struct Slot {
    stores_made: AtomicU64,
    stores_freed: AtomicU64,
    bytes_made: AtomicU64,
    bytes_freed: AtomicU64,
    resizable_made: AtomicU64,
    shared_made: AtomicU64,
}

impl Slot {
    const fn new() -> Self {
        Slot {
            stores_made: AtomicU64::new(0),
            stores_freed: AtomicU64::new(0),
            bytes_made: AtomicU64::new(0),
            bytes_freed: AtomicU64::new(0),
            resizable_made: AtomicU64::new(0),
            shared_made: AtomicU64::new(0),
        }
    }
}

/// The counts of threads that have no slot: those that are ending, and those for which there was no memory.
static OTHERS: Slot = Slot::new();

thread_local! {
    /// Gives the thread's slot back when the thread ends.
    static LEASE: Lease = const { Lease };
}

/// The slot of this thread.
#[inline]
fn slot<R>(of: impl FnOnce(&Cell<Option<&'static Slot>>) -> R) -> R {
    // Inside of a function that is inlined, the compiler inlines the access too.
    thread_local!(static SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) });
    SLOT.with(of)
}

/// The counts to which this thread adds.
struct Counts {
    slot: &'static Slot,
    /// Whether no other thread writes them.
    is_alone: bool,
}

impl Counts {
    #[inline(always)]
    fn of_thread() -> Self {
        match slot(Cell::get) {
            Some(slot) => Counts { slot, is_alone: true },
            None => Counts::first(),
        }
    }

    #[cold]
    #[inline(never)]
    fn first() -> Self {
        let slot = take_slot();
        Counts { slot: slot.unwrap_or(&OTHERS), is_alone: slot.is_some() }
    }

    #[inline(always)]
    fn add(&self, number: &AtomicU64, more: u64) {
        match self.is_alone {
            // No other store comes between the load and the store.
            true => number.store(number.load(Ordering::Relaxed).wrapping_add(more), Ordering::Release),
            false => _ = number.fetch_add(more, Ordering::Release),
        }
    }
}

/// A slot for this thread until it ends; `None` if the thread is ending, or there is no memory.
fn take_slot() -> Option<&'static Slot> {
    LEASE.try_with(|_| ()).ok()?;
    let slot = Registry::lock().take()?;
    self::slot(|own| own.set(Some(slot)));
    Some(slot)
}

struct Registry {
    all: Vec<&'static Slot>,
    // Of threads that have ended. Their counts stay in the sum, and the next thread goes on counting from them.
    free: Vec<&'static Slot>,
}

impl Registry {
    fn lock() -> MutexGuard<'static, Registry> {
        static REGISTRY: Mutex<Registry> = Mutex::new(Registry { all: Vec::new(), free: Vec::new() });
        REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&mut self) -> Option<&'static Slot> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        // Room to give all slots back too, since the end of a thread must not fail.
        self.all.try_reserve(1).ok()?;
        self.free.try_reserve(self.all.len() + 1).ok()?;
        let mut slot = Vec::new();
        slot.try_reserve_exact(1).ok()?;
        slot.push(Slot::new());
        let [slot] = slot.leak() else { unreachable!("one was pushed") };
        self.all.push(slot);
        Some(slot)
    }
}

struct Lease;

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(slot) = slot(Cell::take) {
            Registry::lock().free.push(slot);
        }
    }
}
