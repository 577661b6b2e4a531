//! A limit on the number of bytes that an engine counts as external memory.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A count of the bytes that an engine counts as external memory, kept below a limit at which the engine would end
/// the process. For adapters.
///
/// V8 ends the process if its count changes by 32 GiB at once, and one collection may subtract the bytes of all
/// dead buffers at once. Node starts V8 with that check, and other programs may too. An adapter that starts V8
/// itself switches the check off.
///
/// Until the limit is [set](Self::set), every count is allowed and none is recorded.
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

    /// Sets the limit. Call it before anything is counted.
    pub fn set(&self) {
        self.is_set.store(true, Ordering::Relaxed);
    }

    /// Whether the limit is set. If it is, every [`take`](Self::take) needs a [`give_back`](Self::give_back).
    #[inline]
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }

    /// The maximum number of bytes that may be counted in total, if the limit is set.
    #[inline]
    pub fn get(&self) -> Option<usize> {
        self.is_set().then_some(self.limit)
    }

    /// Whether the engine may count this many more bytes. Any thread may call it. If the limit is set, the bytes
    /// must be given back once.
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
