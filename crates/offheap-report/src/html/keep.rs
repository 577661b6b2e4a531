//! Which of the freed stores the page shows one by one. The others are in its totals only.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use super::bar::Bar;

/// How many of the largest, how many of those that lived longest, and how many with errors are kept at most.
pub(super) const EACH: usize = 5_000;

/// A store among all processes: the place of its process in the trace, and its number there.
pub(super) type Key = (usize, u64);

/// The smallest comes out first.
type Smallest = BinaryHeap<Reverse<(u64, Key)>>;

/// The freed stores that are the largest, that lived longest, or that an error is about.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bars: FxHashMap<Key, Bar>,
    largest: Smallest,
    longest: Smallest,
    with_errors: usize,
}

impl Kept {
    /// Whether a store of this length and life would be kept now.
    pub(super) fn wants(&self, bytes: u64, life: u64, has_error: bool) -> bool {
        let beats = |heap: &Smallest, value: u64| {
            heap.len() < EACH || heap.peek().is_some_and(|Reverse((smallest, _))| value > *smallest)
        };
        has_error || beats(&self.largest, bytes) || beats(&self.longest, life)
    }

    /// Keeps a store, and forgets the one that it replaces.
    pub(super) fn add(&mut self, key: Key, bar: Bar) {
        let (bytes, has_error) = (bar.bytes, bar.has_error);
        self.bars.insert(key, bar);
        if has_error && self.with_errors < EACH {
            self.with_errors += 1;
            return;
        }
        let Some(key) = replace(&mut self.largest, bytes, key) else { return };
        let Some(life) = self.bars.get(&key).map(Bar::life) else { return };
        let Some(key) = replace(&mut self.longest, life, key) else { return };
        // An error may have come after the store was freed: a double free.
        match self.bars.get(&key) {
            Some(bar) if bar.has_error && self.with_errors < EACH => self.with_errors += 1,
            _ => drop(self.bars.remove(&key)),
        }
    }

    /// The store, if it is kept.
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Bar> {
        self.bars.get_mut(&key)
    }

    /// All that are kept, in no order.
    pub(super) fn take(&mut self) -> Vec<Bar> {
        std::mem::take(&mut self.bars).into_values().collect()
    }
}

/// Puts a store in, and takes the smallest out if that is one too many.
fn replace(heap: &mut Smallest, value: u64, key: Key) -> Option<Key> {
    heap.push(Reverse((value, key)));
    if heap.len() <= EACH { None } else { heap.pop().map(|Reverse((_, key))| key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(store: u64, bytes: u64, life: u64) -> Bar {
        Bar { store, bytes, born: 0, died: Some(life), ..Bar::default() }
    }

    #[test]
    fn the_largest_and_the_longest_stay() {
        let mut kept = Kept::default();
        let many = EACH as u64 * 4;
        for store in 0..many {
            kept.add((0, store), bar(store, store, many - store));
        }
        let mut stores: Vec<u64> = kept.take().iter().map(|bar| bar.store).collect();
        stores.sort_unstable();
        assert_eq!(stores.len(), EACH * 2);
        assert_eq!((stores[0], stores[EACH - 1], stores[EACH]), (0, EACH as u64 - 1, many - EACH as u64));
    }

    #[test]
    fn a_store_with_an_error_stays_even_when_the_error_comes_later() {
        let mut kept = Kept::default();
        kept.add((0, 0), bar(0, 1, 1));
        kept.get_mut((0, 0)).unwrap().has_error = true;
        for store in 1..EACH as u64 * 3 {
            kept.add((0, store), bar(store, 10, 10));
        }
        assert!(kept.get_mut((0, 0)).is_some());
        assert!(!kept.wants(1, 1, false));
    }
}
