//! Where a table has entries at all, so that most buffers without a store are told apart without a lock.
//!
//! This is small, so it stays in the caches. The places themselves are 24 times as large.

use super::{Location, PLACES, SHARDS};
use crate::sync::{AtomicU8, AtomicUsize, Ordering};

/// How many entries the table has at each place, and how many stores over an engine's own blocks in each shard. Threads write a
/// number under the lock of its shard, and read it without.
pub(super) struct Occupied {
    places: [[AtomicU8; PLACES]; SHARDS],
    made: [AtomicUsize; SHARDS],
}

/// A number of a place that got as large as this stays.
const MANY: u8 = u8::MAX;

impl Occupied {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Occupied {
            places: [const { [const { AtomicU8::new(0) }; PLACES] }; SHARDS],
            made: [const { AtomicUsize::new(0) }; SHARDS],
        }
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Occupied {
            places: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU8::new(0))),
            made: std::array::from_fn(|_| AtomicUsize::new(0)),
        }
    }

    fn at(&self, location: Location) -> &AtomicU8 {
        &self.places[location.shard][location.place]
    }

    /// Whether there is no entry. An entry that was added before this call, in the order of the program, and that stays
    /// during the call, is seen: all later numbers count it.
    #[inline]
    pub(super) fn is_empty_at(&self, location: Location) -> bool {
        self.at(location).load(Ordering::Relaxed) == 0
    }

    /// Counts an entry. The caller has the lock.
    #[inline]
    pub(super) fn add(&self, location: Location) {
        let count = self.at(location).load(Ordering::Relaxed);
        self.at(location).store(count.saturating_add(1), Ordering::Relaxed);
    }

    /// Counts a store over an engine's own block. The caller has the lock.
    #[inline]
    pub(super) fn add_made(&self, location: Location) {
        self.add(location);
        let count = &self.made[location.shard];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Counts a store over an engine's own block less. The caller has the lock.
    #[inline]
    pub(super) fn remove_made(&self, location: Location) {
        self.remove(location);
        let count = &self.made[location.shard];
        count.store(count.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    }

    /// Whether a shard has stores over an engine's own blocks. One that was added before this call, in the order of the program,
    /// and that stays during the call, is seen.
    #[inline]
    pub(super) fn has_made(&self, shard: usize) -> bool {
        self.made[shard].load(Ordering::Relaxed) != 0
    }

    /// Counts an entry less. The caller has the lock.
    #[inline]
    pub(super) fn remove(&self, location: Location) {
        let count = self.at(location).load(Ordering::Relaxed);
        debug_assert_ne!(count, 0, "it was added");
        if count != MANY {
            self.at(location).store(count - 1, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_empty_when_all_of_its_entries_are_gone() {
        static OCCUPIED: Occupied = Occupied::new();
        let location = Location { shard: 1, place: 2 };
        OCCUPIED.add(location);
        OCCUPIED.add(location);
        OCCUPIED.remove(location);
        assert!(!OCCUPIED.is_empty_at(location));
        assert!(OCCUPIED.is_empty_at(Location { shard: 2, place: 1 }));
        OCCUPIED.remove(location);
        assert!(OCCUPIED.is_empty_at(location));
    }

    #[test]
    fn a_place_with_more_entries_than_are_counted_is_never_empty_again() {
        static OCCUPIED: Occupied = Occupied::new();
        let location = Location { shard: 0, place: 0 };
        let times = u32::from(MANY) + 2;
        (0..times).for_each(|_| OCCUPIED.add(location));
        (0..times).for_each(|_| OCCUPIED.remove(location));
        assert!(!OCCUPIED.is_empty_at(location));
    }
}
