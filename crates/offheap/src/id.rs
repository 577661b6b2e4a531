//! The ids of stores.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
// Not through `crate::sync`: a static cannot be a loom atomic, and uniqueness of `fetch_add` needs no model.
use std::sync::atomic::{AtomicU64, Ordering};

/// The id of a store: a number that no other store of this process ever gets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(NonZeroU64);

/// Each thread takes this many numbers at a time, so that making a store touches no shared cache line.
const BATCH: u64 = 1024;

/// A number that no other thread gets. `next` is the thread's next one, less 1; a multiple of `BATCH` if its batch is used
/// up.
#[inline]
pub(crate) fn next_number(batches: &AtomicU64, next: &Cell<u64>) -> NonZeroU64 {
    let mut number = next.get();
    if number.is_multiple_of(BATCH) {
        number = batches.fetch_add(1, Ordering::Relaxed) * BATCH;
    }
    next.set(number + 1);
    NonZeroU64::MIN.saturating_add(number)
}

impl StoreId {
    #[inline]
    pub(crate) fn next() -> StoreId {
        static BATCHES: AtomicU64 = AtomicU64::new(0);
        thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
        StoreId(NEXT.with(|next| next_number(&BATCHES, next)))
    }

    /// The number of this id's batch. A thread takes 1,024 ids at a time and gives all of them to the stores that it makes, so
    /// tables that are split by batches have no part that two threads write at the same moment, except for stores that
    /// change threads.
    ///
    /// ```
    /// let (first, next) = (offheap::UniqueStore::zeroed(1)?, offheap::UniqueStore::zeroed(1)?);
    /// assert_eq!(first.id().batch(), next.id().batch());
    /// # Ok::<(), offheap::Error>(())
    /// ```
    #[inline]
    pub fn batch(self) -> u64 {
        (self.0.get() - 1) / BATCH
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// The id with this number, for example from a report.
impl From<NonZeroU64> for StoreId {
    fn from(number: NonZeroU64) -> Self {
        StoreId(number)
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreId({})", self.0)
    }
}
