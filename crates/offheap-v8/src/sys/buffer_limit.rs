//! A limit on the bytes of the buffers of one isolate. The allocator of the isolate asks it, so it counts what V8
//! allocates there: the memory of fixed-length buffers, shared ones included.

use std::sync::atomic::{AtomicUsize, Ordering};

/// V8 frees buffers on its own threads too, so the count is atomic.
pub(super) struct BufferLimit {
    limit: usize,
    used: AtomicUsize,
}

impl BufferLimit {
    pub(super) fn new(limit: usize) -> Self {
        BufferLimit { limit, used: AtomicUsize::new(0) }
    }

    /// Counts bytes that are about to be allocated. Returns whether there may be as many. Bytes that are not script's are
    /// never refused.
    #[inline]
    pub(super) fn take(&self, byte_length: usize, is_of_script: bool) -> bool {
        let limit = if is_of_script { self.limit } else { usize::MAX };
        let add = |used: usize| used.checked_add(byte_length).filter(|&sum| sum <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    #[inline]
    pub(super) fn give_back(&self, byte_length: usize) {
        let before = self.used.fetch_sub(byte_length, Ordering::Relaxed);
        debug_assert!(before >= byte_length, "returned more than was counted");
    }
}
