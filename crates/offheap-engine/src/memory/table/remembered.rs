//! What a table remembers of its entries, so that a buffer's store is mostly found without a lock.

use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};

use crate::sync::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// A place for an address and the hold of its entry. Threads write it under the lock of its shard, and read it without.
pub(super) struct Place {
    /// Odd while a thread writes. What was read while it stayed the same was written together.
    version: AtomicU64,
    address: AtomicUsize,
    hold: AtomicPtr<c_void>,
}

impl Place {
    #[cfg(not(loom))]
    pub(super) const fn empty() -> Self {
        Place { version: AtomicU64::new(0), address: AtomicUsize::new(0), hold: AtomicPtr::new(null_mut()) }
    }

    #[cfg(loom)]
    pub(super) fn empty() -> Self {
        Place { version: AtomicU64::new(0), address: AtomicUsize::new(0), hold: AtomicPtr::new(null_mut()) }
    }

    /// The hold of the entry of `address`, if that is remembered here.
    #[inline]
    pub(super) fn get(&self, address: usize) -> Option<NonNull<c_void>> {
        let version = self.version.load(Ordering::Acquire);
        if self.address.load(Ordering::Acquire) != address {
            return None;
        }
        let hold = self.hold.load(Ordering::Acquire);
        // A thread that reads what another one is writing sees the odd version here.
        let is_whole = version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        NonNull::new(hold).filter(|_| is_whole)
    }

    /// Remembers the entry of `address`. The caller has the lock.
    pub(super) fn remember(&self, address: usize, hold: NonNull<c_void>) {
        self.set(address, hold.as_ptr());
    }

    /// Forgets the entry of `address`. The caller has the lock.
    #[inline]
    pub(super) fn forget(&self, address: usize) {
        if self.address.load(Ordering::Relaxed) == address {
            self.set(0, null_mut());
        }
    }

    fn set(&self, address: usize, hold: *mut c_void) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        self.address.store(address, Ordering::Release);
        self.hold.store(hold, Ordering::Release);
        self.version.store(version + 2, Ordering::Release);
    }
}
