//! A limit on the bytes that an engine may count.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The bytes that an engine counts as external memory, kept below what would end the process. For adapters.
///
/// V8 ends the process where its count changes by 32 GiB at once, and one collection may take away at once what all dead
/// buffers had. Node starts V8 with that check, and so may any program; an adapter that starts V8 itself switches it off.
///
/// Until the limit is [set](Self::set), everything may be counted, and nothing is.
pub struct ByteLimit {
    limit: usize,
    is_set: AtomicBool,
    counted: AtomicUsize,
}

impl ByteLimit {
    /// A limit that is not set yet.
    pub const fn new(limit: usize) -> Self {
        ByteLimit { limit, is_set: AtomicBool::new(false), counted: AtomicUsize::new(0) }
    }

    /// Sets the limit, before anything was counted.
    pub fn set(&self) {
        self.is_set.store(true, Ordering::Relaxed);
    }

    /// Whether there is a limit: then what was [taken](Self::take) is given back.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }

    /// The most bytes that may be counted together, where there is a limit.
    #[inline]
    pub fn get(&self) -> Option<usize> {
        self.is_set().then_some(self.limit)
    }

    /// Whether the engine may count this many bytes more; on any thread. Where there is a limit, they are then given back once.
    #[inline]
    pub fn take(&self, byte_length: usize) -> bool {
        !self.is_set() || self.take_limited(byte_length)
    }

    #[cold]
    fn take_limited(&self, byte_length: usize) -> bool {
        let add = |counted: usize| counted.checked_add(byte_length).filter(|&sum| sum <= self.limit);
        self.counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Gives bytes back.
    #[inline]
    pub fn give_back(&self, byte_length: usize) {
        if self.is_set() {
            self.counted.fetch_sub(byte_length, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ByteLimit;

    #[test]
    fn nothing_is_counted_until_the_limit_is_set() {
        let limit = ByteLimit::new(10);
        assert!(limit.take(usize::MAX) && limit.get().is_none());
        limit.give_back(usize::MAX);
        limit.set();
        assert_eq!((limit.take(10), limit.get()), (true, Some(10)));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let limit = ByteLimit::new(10);
        limit.set();
        assert!(limit.take(6) && !limit.take(5) && limit.take(4));
        limit.give_back(6);
        assert!(!limit.take(usize::MAX) && limit.take(5));
    }
}
