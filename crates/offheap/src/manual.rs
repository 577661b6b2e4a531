//! Manual memory: freed by hand, as memory behind V8's `BackingStore::EmptyDeleter` is.
//!
//! A store over such memory frees nothing when its last reference goes. What does is [`ManualMemory::free`], or
//! [`ManualHeap::free`] by the address; until then the memory is on the heap's list, and what is still there at the end
//! is a leak, with the place that allocated it.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::OnceLock;

use self::heap::{Heap, Live};
use crate::raw::{ManualBlock, RawStore};
use crate::{BackingStore, Error, Rejected, Site, StoreId, StoreKind};

mod heap;

/// A handle to memory that is freed by hand.
///
/// Dropping the handle frees nothing, and neither does dropping its stores. After [`free`](Self::free) every use of a
/// store over it answers [`Error::Freed`]. May be used on any thread.
///
/// ```
/// use offheap::{Error, ManualMemory};
///
/// let memory = ManualMemory::allocate(1024)?;
/// memory.store().clone().bytes_mut()?.fill(1);
/// memory.free()?;
/// assert!(matches!(memory.store().to_vec(), Err(Error::Freed { .. })));
///
/// let error = memory.free().unwrap_err();                     // names all three lines
/// assert!(error.to_string().starts_with("double free of 1024 bytes"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManualMemory {
    store: BackingStore,
}

/// What a store over manual memory owns: nothing but the place of its free.
pub(crate) struct ManualOwner {
    freed: OnceLock<Site>,
}

impl ManualOwner {
    fn freed(&self) -> Option<Site> {
        self.freed.get().copied()
    }
}

/// Where manual memory was freed whose access word says so. Only a free that is being done right now has not noted its
/// place yet, and it does so before it unlocks the heap.
pub(crate) fn freed_at(store: &BackingStore) -> Site {
    let owner = store.raw().owner::<ManualOwner>().expect("only manual memory is freed");
    owner.freed().unwrap_or_else(|| {
        drop(Heap::lock());
        owner.freed().expect("noted under the heap's lock")
    })
}

impl ManualMemory {
    /// Allocates `byte_length` zeroed bytes, aligned to 16.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond `isize::MAX` bytes, [`Error::OutOfMemory`].
    #[track_caller]
    pub fn allocate(byte_length: usize) -> Result<Self, Error> {
        Self::allocate_at(byte_length, Site::here())
    }

    /// The same, allocated by a place that the caller names: that of a script, for one.
    ///
    /// # Errors
    /// As for [`allocate`](Self::allocate).
    pub fn allocate_at(byte_length: usize, site: Site) -> Result<Self, Error> {
        // The last bytes of the address space are no object's; and each memory has an address of its own, empty or not.
        let block = ManualBlock::zeroed(byte_length)?;
        Self::register(block, byte_length, site).map_err(Error::from)
    }

    /// Takes over memory that something else allocated and that `free_fn` frees: `adopt(malloc(n), n, free)`.
    ///
    /// `free_fn` is called once, with the address, some time after [`free`](Self::free) and on any thread: the address
    /// is kept taken for a while so that a second free cannot hit its next user.
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
    /// [`Error::NullData`] for a null address, [`Error::TooLarge`] beyond `isize::MAX` bytes,
    /// [`Error::AlreadyManual`] for an address that was adopted or allocated and not freed, [`Error::Freed`] for one whose
    /// earlier adoption was freed and awaits `free_fn`, [`Error::OutOfMemory`]. The memory stays the caller's then.
    #[track_caller]
    #[allow(unsafe_code, reason = "declares the contract; the block that relies on it is in `raw`")]
    pub unsafe fn adopt(
        data: *mut c_void,
        byte_length: usize,
        free_fn: unsafe extern "C" fn(*mut c_void),
    ) -> Result<Self, Error> {
        let site = Site::here();
        let block = ManualBlock::adopt(data, byte_length, free_fn)?;
        Self::register(block, byte_length, site).map_err(|rejected| {
            let (error, block) = rejected.into_parts();
            block.disown();
            error
        })
    }

    fn register(block: ManualBlock, byte_length: usize, site: Site) -> Result<Self, Rejected<ManualBlock>> {
        let memory = block.memory(byte_length);
        let owner = ManualOwner { freed: OnceLock::new() };
        // Told once it is on the list: what was refused there never was.
        let raw = match RawStore::untold(owner, StoreKind::Manual, site, |_| memory) {
            Ok(raw) => raw,
            Err((error, _)) => return Err(Rejected::new(error, block)),
        };
        let live = Live { store: raw.id(), handle: raw.downgrade(), byte_length, allocated: site, block };
        Heap::lock().insert(live)?;
        raw.tell_created();
        Ok(ManualMemory { store: BackingStore::from_raw(raw) })
    }

    /// The store over this memory.
    pub fn store(&self) -> &BackingStore {
        &self.store
    }

    pub(crate) fn into_store(self) -> BackingStore {
        self.store
    }

    /// The address, and the key for [`ManualHeap::free`].
    pub fn as_ptr(&self) -> *mut c_void {
        self.store.as_ptr()
    }

    /// The length in bytes.
    pub fn byte_length(&self) -> usize {
        self.store.byte_length()
    }

    /// Where it was freed, once it was.
    pub fn freed(&self) -> Option<Site> {
        self.store.raw().owner::<ManualOwner>().and_then(ManualOwner::freed)
    }

    /// Frees the memory. Stores over it stay, and answer [`Error::Freed`].
    ///
    /// # Errors
    /// Nothing is touched: [`Error::DoubleFree`] names the first free; [`Error::FreeInUse`] names the isolate that has
    /// the memory, or that a guard uses it.
    #[track_caller]
    pub fn free(&self) -> Result<(), Error> {
        self.free_at(Site::here())
    }

    /// The same, freed by a place that the caller names.
    ///
    /// # Errors
    /// As for [`free`](Self::free).
    pub fn free_at(&self, site: Site) -> Result<(), Error> {
        let freed = Heap::lock().free(&self.store, site)?;
        freed.finish();
        Ok(())
    }
}

/// All manual memory of the process, on whichever thread it was allocated.
#[derive(Clone, Copy, Debug)]
pub struct ManualHeap;

/// Manual memory that was not freed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Unfreed {
    /// The store over it.
    pub store: StoreId,
    /// Its address.
    pub address: usize,
    /// How many bytes.
    pub byte_length: usize,
    /// Where it was allocated or adopted.
    pub allocated: Site,
}

impl ManualHeap {
    /// Frees the manual memory that begins at `data`: `ManualHeap::free(managed_buffer.backing_store())`.
    ///
    /// The last 1,024 freed addresses are remembered. Blocks that were allocated here keep their address meanwhile, so
    /// a stale address never frees its next user; neither does it where adopted memory returned to its allocator early
    /// (beyond 64 MiB of freed blocks) and came back: that is [`Error::AddressReused`].
    ///
    /// # Errors
    /// Nothing is touched: [`Error::DoubleFree`], [`Error::FreeInUse`], [`Error::UnknownAddress`],
    /// [`Error::AddressReused`].
    #[track_caller]
    pub fn free(data: *mut c_void) -> Result<(), Error> {
        let site = Site::here();
        let freed = Heap::lock().free_address(data.addr(), site)?;
        freed.finish();
        Ok(())
    }

    /// All that was not freed, oldest first.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where there is none for the list.
    pub fn unfreed() -> Result<Vec<Unfreed>, Error> {
        let heap = Heap::lock();
        let live = heap.live.as_ref();
        let count = live.map_or(0, HashMap::len);
        let mut unfreed = Vec::new();
        let reserved = unfreed.try_reserve_exact(count);
        reserved.map_err(|_| Error::OutOfMemory { requested: count * size_of::<Unfreed>() })?;
        unfreed.extend(live.into_iter().flatten().map(|(&address, live)| Unfreed {
            store: live.store,
            address,
            byte_length: live.byte_length,
            allocated: live.allocated,
        }));
        drop(heap);
        unfreed.sort_unstable_by_key(|memory| memory.store);
        Ok(unfreed)
    }
}
