//! Handles to manual memory. All handles to one memory are one reference.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr;

use super::{ManualBlock, ManualOwner, heap};
use crate::raw::{RawStore, View};
use crate::{Error, Site, StoreKind};

/// A handle to manual memory. All handles to one memory share one strong reference, so they do not change the count. All
/// other references are uses of the memory, and one read of the count tells how many there are.
pub(crate) struct ManualHandle {
    // The reference that all of them share. The last handle drops it.
    view: ManuallyDrop<View>,
}

impl ManualHandle {
    /// Allocates unshared memory of fixed length.
    pub(crate) fn zeroed(byte_length: usize, site: Site) -> Result<Self, Error> {
        let block = ManualBlock::zeroed(byte_length)?;
        heap::register(block, byte_length, site).map_err(Error::from)
    }

    /// Allocates memory of a kind that is shared or whose length changes.
    pub(crate) fn with_room(
        kind: StoreKind,
        byte_length: usize,
        max_byte_length: Option<usize>,
        site: Site,
    ) -> Result<Self, Error> {
        let raw = RawStore::manual_room(kind, byte_length, max_byte_length, site)?;
        heap::list(raw.clone(), ManualBlock::of_room(raw)).map_err(Error::from)
    }

    /// Takes over foreign memory. It stays the caller's if this fails.
    ///
    /// # Safety
    /// Until `free_fn` is called, the `byte_length` bytes at `data` are initialised, mapped for reading and writing, and
    /// used by nobody else; `free_fn` may be called with the address on any thread, and does not unwind.
    pub(crate) unsafe fn adopt(
        data: *mut c_void,
        byte_length: usize,
        free_fn: unsafe extern "C" fn(*mut c_void),
        site: Site,
    ) -> Result<Self, Error> {
        // SAFETY: I-FREE-ONCE: the caller's promise, passed on.
        let block = unsafe { ManualBlock::adopt(data, byte_length, free_fn) }?;
        heap::register(block, byte_length, site).map_err(|rejected| {
            let (error, block) = rejected.into_parts();
            block.disown();
            error
        })
    }

    /// The first handle, which a new `ManualOwner` counts already.
    ///
    /// # Panics
    /// Unless the block is that of manual memory.
    pub(in crate::raw) fn first(raw: RawStore) -> Self {
        assert!(raw.is_from::<ManualOwner>(), "manual memory has a manual owner");
        ManualHandle { view: ManuallyDrop::new(View::whole_new(raw)) }
    }

    /// One more handle, if there is a live one. Once the last one is gone there are no more. It is not a user's, and the
    /// observer does not hear of it.
    pub(in crate::raw) fn another(raw: &RawStore) -> Option<Self> {
        raw.owner::<ManualOwner>()?.add_handle_to_others().then(|| {
            // SAFETY: I-FREE-ONCE: a live handle keeps the shared reference, and this one is counted beside it.
            let shared = unsafe { ptr::read(raw) };
            ManualHandle { view: ManuallyDrop::new(View::whole_unseen(shared)) }
        })
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Where the memory was freed; `None` before the free.
    pub(crate) fn freed(&self) -> Option<Site> {
        self.owner().freed().map(|freed| freed.at)
    }

    /// Frees the memory, unless it is in use.
    pub(crate) fn free(&self, site: Site) -> Result<(), Error> {
        heap::free(self.view.raw(), site)
    }

    fn owner(&self) -> &ManualOwner {
        self.view.raw().owner().expect("asked when the first was made")
    }
}

impl Clone for ManualHandle {
    #[track_caller]
    fn clone(&self) -> Self {
        self.owner().add_handle();
        // SAFETY: I-FREE-ONCE: the reference that all handles share and the last one drops; this one is counted.
        let mut handle = ManualHandle { view: unsafe { self.view.share() } };
        handle.view.begin_handle();
        handle
    }
}

impl Drop for ManualHandle {
    fn drop(&mut self) {
        // It ends even if the observer panics.
        let ending = Ending(self);
        ending.0.view.end_handle();
    }
}

/// The end of a handle.
struct Ending<'a>(&'a mut ManualHandle);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.0.owner().remove_handle() {
            // SAFETY: I-FREE-ONCE: no other handle is left, and none can be made any more.
            unsafe { ManuallyDrop::drop(&mut self.0.view) }
        }
    }
}
