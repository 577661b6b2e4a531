//! Promises that were rejected and that nothing handles: errors that nobody caught.

use std::collections::HashMap;

/// The promises of an isolate that were rejected and that nothing handles, with their reasons. A promise is found by
/// its hash.
pub(crate) struct Unhandled<P, R> {
    by_hash: HashMap<u64, Vec<Rejected<P, R>>>,
    count: u64,
}

struct Rejected<P, R> {
    number: u64,
    promise: P,
    reason: R,
}

impl<P, R> Default for Unhandled<P, R> {
    fn default() -> Self {
        Unhandled { by_hash: HashMap::new(), count: 0 }
    }
}

impl<P, R> Unhandled<P, R> {
    /// A promise with this hash was rejected.
    pub(crate) fn insert(&mut self, hash: u64, promise: P, reason: R) {
        self.count += 1;
        self.by_hash.entry(hash).or_default().push(Rejected { number: self.count, promise, reason });
    }

    /// Something handles a promise now: the one with this hash for which `is_meant` is true.
    pub(crate) fn remove(&mut self, hash: u64, is_meant: impl Fn(&P) -> bool) {
        let Some(same_hash) = self.by_hash.get_mut(&hash) else { return };
        same_hash.retain(|rejected| !is_meant(&rejected.promise));
        if same_hash.is_empty() {
            self.by_hash.remove(&hash);
        }
    }

    /// The reason of the promise that was rejected first.
    pub(crate) fn into_first(self) -> Option<R> {
        let first = self.by_hash.into_values().flatten().min_by_key(|rejected| rejected.number);
        first.map(|rejected| rejected.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_is_not_handled_is_told_also_of_those_with_one_hash() {
        let mut unhandled = Unhandled::default();
        for (promise, hash) in [("a", 1), ("b", 2), ("c", 1), ("d", 1)] {
            unhandled.insert(hash, promise, format!("reason of {promise}"));
        }
        for (promise, hash) in [("b", 2), ("a", 1), ("unknown", 1), ("b", 2)] {
            unhandled.remove(hash, |other| *other == promise);
        }
        assert_eq!(unhandled.into_first().as_deref(), Some("reason of c"));
    }
}
