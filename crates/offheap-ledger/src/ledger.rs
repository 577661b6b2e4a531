//! The ledger itself: its parts, and what a program tells it.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use offheap::observe;
use offheap::{BackingStore, Site, StoreId};

use crate::clock::Clock;
use crate::happened::What;
use crate::held::{Held, Hold, Reference};
use crate::refusal::Refusals;
use crate::sample::Sampling;
use crate::shard::{Shards, Sums};
use crate::site::Sites;
use crate::stream::Stream;
use crate::{Balance, Level};

/// A record of the stores of a process; see the [crate](crate).
///
/// It may be used on any thread. It runs no code of the program's while it holds a lock, and in the common case no thread
/// waits for another: the records of stores that different threads made are in different parts.
pub struct Ledger {
    /// No other ledger of the process has it.
    pub(crate) number: u32,
    level: Level,
    pub(crate) sampling: Option<Sampling>,
    /// The events that a history keeps; 0 unless at level `Full`.
    pub(crate) kept_events: usize,
    clock: Clock,
    /// Whether the core tells this very ledger its events: all of them, and in order. Then it may ask who holds a store.
    pub(crate) reads_blocks: bool,
    pub(crate) shards: Shards,
    pub(crate) sites: Sites,
    held: Mutex<Held>,
    refusals: Mutex<Refusals>,
    /// Stores that are meant to stay, if not each store has a record.
    counted_static: Mutex<HashSet<StoreId>>,
    pub(crate) stream: Stream,
}

/// What a ledger is made of.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) level: Level,
    pub(crate) sample_bytes: Option<u64>,
    pub(crate) history: usize,
    pub(crate) is_observer: bool,
}

impl Ledger {
    /// A ledger that lives as long as the process.
    pub(crate) fn make(settings: Settings) -> &'static Ledger {
        static LEDGERS: AtomicU32 = AtomicU32::new(0);
        if settings.level == Level::Counts || settings.sample_bytes.is_some() {
            observe::start_counting();
        }
        Box::leak(Box::new(Ledger {
            number: LEDGERS.fetch_add(1, Ordering::Relaxed) + 1,
            level: settings.level,
            sampling: settings.sample_bytes.map(Sampling::new),
            kept_events: if settings.level == Level::Full { settings.history } else { 0 },
            // Two exact times would be a fifth of the time of a sample.
            clock: Clock::new(settings.sample_bytes.is_some()),
            reads_blocks: settings.is_observer,
            shards: Shards::new(settings.sample_bytes),
            sites: Sites::default(),
            held: Mutex::default(),
            refusals: Mutex::default(),
            counted_static: Mutex::default(),
            stream: Stream::default(),
        }))
    }

    /// How much it records.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The mean number of bytes between two samples, if it records only samples. Its numbers are estimates then.
    pub fn sample_bytes(&self) -> Option<u64> {
        self.sampling.map(Sampling::mean)
    }

    /// How long it has recorded.
    pub fn age(&self) -> Duration {
        self.clock.age()
    }

    /// The time of an event, in nanoseconds since it began.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// The balance up to now. While a program runs, what it counts as leaked includes memory that is still used.
    pub fn balance(&self) -> Balance {
        let leaked = self.leaks().len() as u64;
        self.balance_with(leaked)
    }

    pub(crate) fn balance_with(&self, leaked: u64) -> Balance {
        let refused = self.refusals().count;
        if self.is_counted() {
            // Not all leaks have names here.
            let counted = observe::totals();
            return Balance {
                stores: counted.stores_made,
                resizable: counted.resizable_made,
                shared: counted.shared_made,
                external_bytes: counted.bytes_made,
                leaked: leaked.max(counted.live_stores().saturating_sub(self.static_count())),
                refused,
            };
        }
        let sums = self.sums();
        let count = |number: f64| number.round() as u64;
        Balance {
            stores: count(sums.stores),
            resizable: count(sums.resizable),
            shared: count(sums.shared),
            external_bytes: count(sums.external_bytes),
            leaked,
            refused,
        }
    }

    /// Whether the core counts for it, since it does not record each store.
    pub(crate) fn is_counted(&self) -> bool {
        self.level == Level::Counts || self.sampling.is_some()
    }

    fn static_count(&self) -> u64 {
        self.counted_static.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        self.shards.iter().for_each(|shard| sums.add(&shard.lock().sums));
        sums
    }

    /// Says that this store is meant to live until the process ends, so that it is no leak.
    ///
    /// If it is freed nevertheless, that is fine. A ledger that does not record each store goes on counting it as one that is
    /// meant to stay.
    #[track_caller]
    pub fn expect_static(&self, store: &BackingStore) {
        // Only what is counted may be subtracted.
        if self.is_counted() && observe::is_counted(store) {
            self.counted_static.lock().unwrap_or_else(PoisonError::into_inner).insert(store.id());
        }
        if self.level != Level::Counts {
            self.note_static(store, Site::here());
        }
    }

    /// Records a reference that must be released, taken at `site`. It counts as leaked until it is.
    pub fn hold(&self, store: &BackingStore, site: Site) -> Hold {
        let hold = self.held().hold(store, site);
        let what = What::Referenced { reference: hold.number_in_stream(), from: 0, to: store.byte_length() };
        self.tell_stream(what, store.id(), store.byte_length(), Some(site));
        hold
    }

    /// Records that a reference was released.
    pub fn release(&self, hold: Hold) {
        let released = self.held().release(&hold);
        if let Some(Reference { store, byte_length, .. }) = released {
            self.tell_stream(What::Dropped { reference: hold.number_in_stream() }, store, byte_length, None);
        }
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("level", &self.level).finish_non_exhaustive()
    }
}
