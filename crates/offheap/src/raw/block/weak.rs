//! Weak references, which keep a block alive and not its owner.

use super::{Header, RawStore, RawWeak};
use crate::IsolateId;
use crate::event::{self, BlockKey};
use crate::raw::access::Denied;
use crate::sync::dealloc;

impl RawWeak {
    fn header(&self) -> &Header {
        // SAFETY: I-FREE-ONCE: this weak reference keeps the block alive, though not the owner.
        let header = unsafe { self.0.as_ref() };
        header.witness.used();
        header
    }

    /// The block's address, for an event.
    pub(in crate::raw) fn key(&self) -> BlockKey {
        BlockKey::new(self.0.as_ptr().expose_provenance())
    }

    /// Whether there is an observer that hears of the store.
    pub(in crate::raw) fn is_told(&self) -> bool {
        event::is_observed() && !self.header().part.declined
    }

    /// Whether the store is counted.
    pub(in crate::raw) fn is_counted(&self) -> bool {
        self.header().part.counted
    }

    /// The host that had the store and may still write it.
    pub(in crate::raw) fn host(&self) -> Option<IsolateId> {
        self.header().access.host()
    }

    /// Takes the mark of a host away. Refused while the host has live buffers.
    ///
    /// # Safety
    /// No call of the host is pending on the memory.
    pub(in crate::raw) unsafe fn end_host(&self) -> Result<(), Denied> {
        self.header().access.end_host()
    }

    /// A strong reference, unless the last one is gone and no buffer is left.
    pub(crate) fn upgrade(&self) -> Option<RawStore> {
        let header = self.header();
        if header.counts.upgrade() {
            return Some(RawStore(self.0));
        }
        // Only a buffer may be left. The group that begins here keeps the block until the reference is counted.
        if !header.access.begin_group() {
            return None;
        }
        let strong = RawStore(self.0);
        if !header.counts.add_strong() {
            // In the meantime another reference began a group.
            let is_over = header.access.end_group();
            debug_assert!(!is_over, "there is a strong reference");
        }
        Some(strong)
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
