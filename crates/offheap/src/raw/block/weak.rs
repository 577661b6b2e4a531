//! Weak references, which keep a block alive and not its owner.

use super::{Header, RawStore, RawWeak};
use crate::sync::dealloc;

impl RawWeak {
    fn header(&self) -> &Header {
        // SAFETY: I-FREE-ONCE: this weak reference keeps the block alive, though not the owner.
        let header = unsafe { self.0.as_ref() };
        header.witness.used();
        header
    }

    /// A strong reference, unless the last one is gone.
    pub(crate) fn upgrade(&self) -> Option<RawStore> {
        self.header().counts.upgrade().then(|| RawStore(self.0))
    }
}

impl Clone for RawWeak {
    fn clone(&self) -> Self {
        self.header().counts.add_weak();
        RawWeak(self.0)
    }
}

impl Drop for RawWeak {
    fn drop(&mut self) {
        let header = self.header();
        let layout = header.owner.layout;
        if header.counts.remove_weak() {
            header.witness.ends();
            // SAFETY: I-LAYOUT: allocated with this layout, and no reference is left, strong or weak.
            unsafe { dealloc(self.0.as_ptr().cast(), layout) };
        }
    }
}
