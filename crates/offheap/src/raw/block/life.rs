//! Counting the references to a block, and its end.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::{Header, RawStore, RawWeak};
use crate::sys::is_quarantine_on;

impl Clone for RawStore {
    #[inline]
    fn clone(&self) -> Self {
        if self.header().counts.add_strong() {
            // This is the reference of a claim, whose buffer is counted.
            let is_alive = self.access().begin_group();
            debug_assert!(is_alive);
        }
        RawStore(self.0)
    }
}

impl Drop for RawStore {
    #[inline]
    fn drop(&mut self) {
        if self.header().counts.remove_strong() {
            Self::end_group(self.0);
        }
    }
}

impl RawStore {
    /// Drops a reference that is probably the only one, which needs no locked instruction then.
    #[inline]
    pub(in crate::raw) fn drop_only(self) {
        if self.is_only() {
            Self::free(ManuallyDrop::new(self).0);
        }
    }

    /// Whether there is no other reference, not even a weak one, and there never was a buffer.
    // In this order: a buffer that came before the first question, and gave a reference after it, is seen by the second one.
    #[inline]
    pub(super) fn is_only(&self) -> bool {
        self.header().counts.is_unique() && self.access().is_untouched()
    }

    /// Ends a block's group after its last reference, and the block, unless a buffer keeps it.
    #[inline(never)]
    fn end_group(block: NonNull<Header>) {
        let group = ManuallyDrop::new(RawStore(block));
        if group.access().end_group() {
            Self::free(block);
        }
    }

    /// The reference of a claim, whose buffer is counted in the access word. It is not counted as a strong one.
    #[inline]
    pub(in crate::raw) fn of_buffer(&self) -> ManuallyDrop<RawStore> {
        ManuallyDrop::new(RawStore(self.0))
    }

    /// Ends the block after its last buffer.
    pub(in crate::raw) fn free_after_buffer(last: &mut ManuallyDrop<RawStore>) {
        Self::free(last.0);
    }

    /// Ends a block after its last reference and buffer: tells the observer, drops the owner, frees the block. A panic on the
    /// way still frees the block.
    // It takes the pointer, since a reference that is passed by its address has to be in memory.
    #[inline(never)]
    fn free(block: NonNull<Header>) {
        let last = ManuallyDrop::new(RawStore(block));
        let block = RawWeak(block);
        let charge = last.charge();
        let owner = OwnedOwner { owner: last.owner_ptr(), drop: last.header().owner.drop };
        // The memory of a manual store is freed by hand, and its free tells the observer.
        if !last.kind().is_manual() {
            last.tell_freed();
            if is_quarantine_on() {
                last.quarantine();
            }
        }
        drop(owner);
        drop(charge);
        drop(block);
    }
}

/// An owner that is dropped with this value, even if an observer panics first.
struct OwnedOwner {
    owner: NonNull<c_void>,
    drop: unsafe fn(*mut c_void),
}

impl Drop for OwnedOwner {
    fn drop(&mut self) {
        // SAFETY: I-FREE-ONCE: made once, by the last reference, with the function for the owner's type.
        unsafe { (self.drop)(self.owner.as_ptr()) }
    }
}
