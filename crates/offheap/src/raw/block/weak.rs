//! References that keep a block and not its owner.

use super::{Header, RawStore, RawWeak, abort_beyond_limit};
use crate::sync::{Ordering, dealloc, fence};

impl RawWeak {
    fn header(&self) -> &Header {
        // SAFETY: I-FREE-ONCE: this weak reference keeps the block, though not the owner.
        let header = unsafe { self.0.as_ref() };
        header.witness.used();
        header
    }

    /// A strong reference, unless the last one is gone.
    pub(crate) fn upgrade(&self) -> Option<RawStore> {
        let strong = &self.header().strong;
        let mut count = strong.load(Ordering::Relaxed);
        while count != 0 {
            match strong.compare_exchange_weak(count, count + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(before) => {
                    abort_beyond_limit(before);
                    return Some(RawStore(self.0));
                }
                Err(seen) => count = seen,
            }
        }
        None
    }
}

impl Clone for RawWeak {
    fn clone(&self) -> Self {
        let before = self.header().weak.fetch_add(1, Ordering::Relaxed);
        abort_beyond_limit(before);
        RawWeak(self.0)
    }
}

impl Drop for RawWeak {
    fn drop(&mut self) {
        let header = self.header();
        let layout = header.owner.layout;
        // A last reference that nobody can clone any more needs no count of it; one load saves the locked operation. The
        // fence orders both with the drops of the others.
        let last = header.weak.load(Ordering::Relaxed) == 1 || header.weak.fetch_sub(1, Ordering::Release) == 1;
        if last {
            fence(Ordering::Acquire);
            header.witness.ends();
            // SAFETY: I-LAYOUT: allocated with this layout; no reference of any sort is left.
            unsafe { dealloc(self.0.as_ptr().cast(), layout) };
        }
    }
}
