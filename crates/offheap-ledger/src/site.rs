//! The totals of each place that makes stores.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use offheap::Site;

use crate::thread_cache::ThreadCache;

/// A place that made stores, with its totals. Any thread may change them; they are sums, so the order does not matter.
#[repr(align(64))]
pub(crate) struct SiteEntry {
    pub(crate) site: Site,
    pub(crate) live_bytes: AtomicU64,
    pub(crate) peak_bytes: AtomicU64,
    pub(crate) made_bytes: AtomicU64,
    /// The stores that were made, each counted as its [`Weight`] says.
    pub(crate) made: AtomicU64,
    pub(crate) freed: AtomicU64,
    /// The lives of all freed stores, in nanoseconds.
    pub(crate) lived: AtomicU64,
}

impl SiteEntry {
    fn new(site: Site) -> Self {
        let zero = AtomicU64::default;
        let (live_bytes, peak_bytes, made_bytes, made, freed, lived) = (zero(), zero(), zero(), zero(), zero(), zero());
        SiteEntry { site, live_bytes, peak_bytes, made_bytes, made, freed, lived }
    }

    /// A store was made.
    pub(crate) fn note_made(&self, byte_length: usize, weight: Weight) {
        self.made.fetch_add(weight.parts(), Ordering::Relaxed);
        self.note_longer(weight.of(byte_length as u64));
    }

    /// The length of a store changed.
    // Of the two lengths, as the making and the free count them: their difference would be rounded in another way.
    pub(crate) fn note_resized(&self, before: usize, after: usize, weight: Weight) {
        let (before, after) = (weight.of(before as u64), weight.of(after as u64));
        match after.checked_sub(before) {
            Some(more) => self.note_longer(more),
            None => self.note_shorter(before - after),
        }
    }

    /// There are so many bytes more.
    fn note_longer(&self, bytes: u64) {
        self.made_bytes.fetch_add(bytes, Ordering::Relaxed);
        let live = self.live_bytes.fetch_add(bytes, Ordering::Relaxed).wrapping_add(bytes);
        if live > self.peak_bytes.load(Ordering::Relaxed) {
            self.peak_bytes.fetch_max(live, Ordering::Relaxed);
        }
    }

    /// There are so many bytes fewer.
    fn note_shorter(&self, bytes: u64) {
        self.live_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A store was freed, after so many nanoseconds.
    pub(crate) fn note_freed(&self, byte_length: usize, weight: Weight, nanoseconds: u64) {
        self.note_shorter(weight.of(byte_length as u64));
        self.freed.fetch_add(weight.parts(), Ordering::Relaxed);
        self.lived.fetch_add(weight.of(nanoseconds), Ordering::Relaxed);
    }
}

/// How many stores one store stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weight(f32);

impl Weight {
    /// Every store is told.
    pub(crate) const ONE: Weight = Weight(1.0);

    pub(crate) fn new(weight: f64) -> Self {
        Weight(weight as f32)
    }

    pub(crate) fn get(self) -> f64 {
        f64::from(self.0)
    }

    /// This many bytes or nanoseconds, for all stores that it stands for.
    pub(crate) fn of(self, number: u64) -> u64 {
        match self {
            Weight::ONE => number,
            // Rounded without a call of `round`, which not every processor has as an instruction.
            Weight(weight) => (f64::from(weight) * number as f64 + 0.5) as u64,
        }
    }

    /// The number of stores in parts of [`PARTS`], so that sums of them can be kept as integers.
    fn parts(self) -> u64 {
        self.of(PARTS)
    }
}

/// Sums of stores count a store as this much.
pub(crate) const PARTS: u64 = 1024;

/// All places of a ledger. A program has as many as it has call sites, and script at most 16,384 (`script_site`).
#[derive(Default)]
pub(crate) struct Sites {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_site: HashMap<Site, &'static SiteEntry>,
    list: Vec<&'static SiteEntry>,
}

thread_local! {
    static RECENT: ThreadCache<SiteEntry, 64> = const { ThreadCache::new() };
}

/// A number that only one place has. A place may have several, from several copies of its code.
#[inline]
pub(crate) fn identity(site: &Site) -> usize {
    match *site {
        Site::Native(place) => std::ptr::from_ref(place).addr(),
        Site::Script(place) => std::ptr::from_ref(place).addr(),
        _ => 0,
    }
}

impl Sites {
    /// The entry of this place, for the ledger with the number `owner`.
    #[inline]
    pub(crate) fn entry(&self, owner: u32, site: Site) -> &'static SiteEntry {
        let find = || Some(self.find(site));
        let entry = RECENT.with(|recent| recent.get_or(owner, identity(&site) as u64, |_| true, find));
        entry.expect("one is found or made")
    }

    #[cold]
    fn find(&self, site: Site) -> &'static SiteEntry {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.by_site.get(&site) {
            return entry;
        }
        let entry: &'static SiteEntry = Box::leak(Box::new(SiteEntry::new(site)));
        known.list.push(entry);
        known.by_site.insert(site, entry);
        entry
    }

    /// All places so far, in the order in which they first made a store.
    pub(crate) fn all(&self) -> Vec<&'static SiteEntry> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).list.clone()
    }
}

#[cfg(test)]
mod tests {
    use offheap::adapter::script_site;

    use super::*;

    #[test]
    fn a_sample_whose_length_changed_leaves_nothing_behind() {
        let entry = SiteEntry::new(script_site("a.js", 1, 1));
        let weight = Weight::new(1.3);
        entry.note_made(1, weight);
        for (before, after) in [(1, 2), (2, 3), (3, 7), (7, 4)] {
            entry.note_resized(before, after, weight);
        }
        entry.note_freed(4, weight, 0);
        assert_eq!(entry.live_bytes.load(Ordering::Relaxed), 0);
    }
}
