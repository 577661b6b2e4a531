//! Manual memory: it is freed by hand, like memory behind V8's `BackingStore::EmptyDeleter`.
//!
//! A store over such memory frees nothing when its last reference goes. [`ManualMemory::free`] frees it, or
//! [`ManualHeap::free`] by the address. Until then the memory is on the heap's list. Memory that is on the list when the
//! program ends is a leak, and the list names the place that allocated it.

use std::ffi::c_void;
use std::fmt;

use crate::raw::{self, ManualHandle, Unfreed};
use crate::{BackingStore, Error, Site, StoreKind};

/// A handle to memory that is freed by hand.
///
/// Dropping the handle frees nothing, and neither does dropping its stores. After [`free`](Self::free) every use of a store
/// over it is [`Error::Freed`]. Any thread may use it.
///
/// ```
/// use offheap::{Error, ManualMemory};
///
/// let memory = ManualMemory::allocate(1024)?;
/// memory.store().clone().bytes_mut()?.fill(1);
/// memory.free()?;
/// assert!(matches!(memory.store().to_vec(), Err(Error::Freed { .. })));
///
/// let error = memory.free().unwrap_err();                     // names the allocation and both frees
/// assert!(error.to_string().starts_with("double free of 1024 bytes"));
/// # Ok::<(), Error>(())
/// ```
pub struct ManualMemory {
    handle: ManualHandle,
}

/// Options for an allocation. The default is unshared memory of one length, allocated by the caller.
///
/// ```
/// use offheap::{BackingStore, Error, ManualMemory, ManualOptions};
///
/// let memory = ManualMemory::allocate_with(4, ManualOptions { max_byte_length: Some(1 << 20), ..Default::default() })?;
/// memory.store().clone().resize(4096)?;
/// memory.free()?;                                              // frees 4,096 bytes
/// assert!(matches!(memory.store().to_vec(), Err(Error::Freed { .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ManualOptions {
    /// Whether any number of threads and isolates may use it at once. `SharedStore::try_from` turns its store into a
    /// [`SharedStore`](crate::SharedStore) then.
    pub shared: bool,
    /// The greatest length, if the length is to change. The memory is then resizable, or growable if it is shared.
    pub max_byte_length: Option<usize>,
    /// The place to record as the allocation, instead of the caller's: a place in a script, for example.
    pub site: Option<Site>,
}

impl Clone for ManualMemory {
    #[track_caller]
    fn clone(&self) -> Self {
        ManualMemory { handle: self.handle.clone() }
    }
}

impl ManualMemory {
    /// Allocates `byte_length` zeroed bytes, aligned to 16.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond `isize::MAX` bytes, [`Error::OutOfMemory`].
    #[track_caller]
    pub fn allocate(byte_length: usize) -> Result<Self, Error> {
        Self::allocate_with(byte_length, ManualOptions::default())
    }

    /// Allocates `byte_length` zeroed bytes with `options`. Memory that is shared or whose length changes is aligned to a
    /// page, other memory to 16.
    ///
    /// # Errors
    /// [`Error::MaximumTooSmall`], [`Error::TooLarge`] beyond `isize::MAX` bytes, [`Error::OutOfMemory`].
    #[track_caller]
    pub fn allocate_with(byte_length: usize, options: ManualOptions) -> Result<Self, Error> {
        let ManualOptions { shared, max_byte_length, site } = options;
        // Outside the closure, which would be the caller.
        let here = Site::here();
        let site = site.unwrap_or(here);
        let kind = StoreKind::manual(shared, max_byte_length.is_some());
        if kind == StoreKind::MANUAL {
            return ManualHandle::zeroed(byte_length, site).map(|handle| ManualMemory { handle });
        }
        if let Some(max_byte_length) = max_byte_length.filter(|&max_byte_length| byte_length > max_byte_length) {
            return Err(Error::MaximumTooSmall { byte_length, max_byte_length });
        }
        ManualHandle::with_room(kind, byte_length, max_byte_length, site).map(|handle| ManualMemory { handle })
    }

    /// Takes over memory that other code allocated and that `free_fn` frees: `adopt(malloc(n), n, free)`.
    ///
    /// `free_fn` is called once, with the address, some time after [`free`](Self::free) and on any thread. The address
    /// stays taken for a while, so that a second free cannot hit the next memory at that address.
    ///
    /// ```
    /// use offheap::{ManualHeap, ManualMemory};
    ///
    /// // SAFETY: any size may be asked for.
    /// let data = unsafe { libc::calloc(1024, 1) };
    /// // SAFETY: 1,024 bytes that nobody else uses; `free` takes them on any thread.
    /// let memory = unsafe { ManualMemory::adopt(data, 1024, libc::free) }?;
    /// ManualHeap::free(data)?;
    /// assert!(memory.free().is_err());
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// # Safety
    /// Until `free_fn` is called, the `byte_length` bytes at `data` are initialised, mapped for reading and writing, and
    /// used by nobody else; `free_fn` may be called with the address on any thread, and does not unwind.
    ///
    /// # Errors
    /// [`Error::NullData`] for a null address; [`Error::TooLarge`] beyond `isize::MAX` bytes; [`Error::AlreadyManual`] for
    /// an address that was adopted or allocated and not freed; [`Error::Freed`] for an address that was adopted before and
    /// freed, while its `free_fn` is still to be called; [`Error::OutOfMemory`]. The memory stays the caller's then.
    #[track_caller]
    #[allow(unsafe_code, reason = "declares the contract; the block that relies on it is in `raw`")]
    pub unsafe fn adopt(
        data: *mut c_void,
        byte_length: usize,
        free_fn: unsafe extern "C" fn(*mut c_void),
    ) -> Result<Self, Error> {
        // SAFETY: I-FREE-ONCE: the caller's promise, passed on.
        let handle = unsafe { ManualHandle::adopt(data, byte_length, free_fn, Site::here()) }?;
        Ok(ManualMemory { handle })
    }

    /// The store over this memory.
    pub fn store(&self) -> &BackingStore {
        BackingStore::of_view(self.handle.view())
    }

    /// The address, and the key for [`ManualHeap::free`].
    pub fn as_ptr(&self) -> *mut c_void {
        self.store().as_ptr()
    }

    /// The length in bytes. After the free it is 0 if the length could change.
    pub fn byte_length(&self) -> usize {
        self.store().byte_length()
    }

    /// Where it was freed; `None` before the free.
    pub fn freed(&self) -> Option<Site> {
        self.handle.freed()
    }

    /// Frees the memory. Stores over it stay valid, and every use of them is [`Error::Freed`].
    ///
    /// Uses of shared memory leave no mark, and it cannot be detached. So it counts as in use while there is any reference
    /// to it: a buffer that is not collected yet, or a clone of the store. Handles like this one do not count.
    ///
    /// # Errors
    /// [`Error::DoubleFree`] names the first free. [`Error::FreeInUse`] names the isolate that has the memory, the guard
    /// that uses it, the number of references to shared memory, or the host that had it
    /// ([`BackingStore::assume_host_is_done`]). The memory is untouched then.
    #[track_caller]
    pub fn free(&self) -> Result<(), Error> {
        self.free_at(Site::here())
    }

    /// Frees the memory as [`free`](Self::free) does, and records `site` as the place of the free: a place in a script, for
    /// example. Errors and reports name it.
    ///
    /// # Errors
    /// [`Error::DoubleFree`] names the first free, [`Error::FreeInUse`] the user of the memory. The memory is untouched
    /// then.
    pub fn free_at(&self, site: Site) -> Result<(), Error> {
        self.handle.free(site)
    }
}

impl fmt::Debug for ManualMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualMemory").field("store", self.store()).field("freed", &self.freed()).finish()
    }
}

/// All manual memory of the process, whichever thread allocated it.
#[derive(Clone, Copy, Debug)]
pub struct ManualHeap;

impl ManualHeap {
    /// Frees the manual memory that begins at `data`: `ManualHeap::free(managed_buffer.backing_store())`.
    ///
    /// The last 1,024 freed addresses are remembered. Memory that was allocated here keeps its address for as long, so a
    /// stale address never frees other memory. Adopted memory goes back to its allocator earlier once more than 64 MiB of
    /// it are freed; if the allocator gives the same address out again, a free by that address is [`Error::AddressReused`].
    ///
    /// # Errors
    /// [`Error::DoubleFree`], [`Error::FreeInUse`], [`Error::UnknownAddress`], [`Error::AddressReused`]. The memory is
    /// untouched then.
    #[track_caller]
    pub fn free(data: *mut c_void) -> Result<(), Error> {
        raw::free_address(data.addr(), Site::here())
    }

    /// All memory that was not freed, the oldest first.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if there is no memory for the list.
    pub fn unfreed() -> Result<Vec<Unfreed>, Error> {
        raw::unfreed()
    }
}
