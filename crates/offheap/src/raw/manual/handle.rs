//! Handles to manual memory: any number of them are one reference.

use std::mem::ManuallyDrop;
use std::ptr;

use super::ManualOwner;
use crate::BackingStore;
use crate::raw::RawStore;

/// A handle to manual memory. All handles to one memory have one strong reference between them, so that they do not change
/// the count of references: what is more than theirs is a user's, and one look at the count tells.
pub(crate) struct ManualHandle {
    // All of them have this one reference; the last one drops it.
    store: ManuallyDrop<BackingStore>,
}

impl ManualHandle {
    /// The first handle, which a new `ManualOwner` counts already.
    ///
    /// # Panics
    /// Unless the block is that of manual memory.
    pub(crate) fn first(raw: RawStore) -> Self {
        assert!(raw.is_from::<ManualOwner>(), "manual memory has a manual owner");
        ManualHandle { store: ManuallyDrop::new(BackingStore::from_raw(raw)) }
    }

    /// One more handle, where there is one that lives. There is never one again once the last is gone.
    pub(crate) fn another(raw: &RawStore) -> Option<Self> {
        raw.owner::<ManualOwner>()?.add_handle_to_others().then(|| {
            // SAFETY: I-FREE-ONCE: the handle that was found keeps their reference, and this one is counted beside it.
            let shared = unsafe { ptr::read(raw) };
            ManualHandle { store: ManuallyDrop::new(BackingStore::from_raw(shared)) }
        })
    }

    pub(crate) fn store(&self) -> &BackingStore {
        &self.store
    }

    pub(crate) fn owner(&self) -> &ManualOwner {
        self.store.raw().owner().expect("asked when the first was made")
    }
}

impl Clone for ManualHandle {
    fn clone(&self) -> Self {
        self.owner().add_handle();
        // SAFETY: I-FREE-ONCE: the reference of all handles, which the last of them drops; this one is counted.
        let store = unsafe { ptr::read(&self.store) };
        ManualHandle { store }
    }
}

impl Drop for ManualHandle {
    fn drop(&mut self) {
        if self.owner().remove_handle() {
            // SAFETY: I-FREE-ONCE: no other handle is left, and none can come to be.
            unsafe { ManuallyDrop::drop(&mut self.store) }
        }
    }
}
