//! Manual memory: freed by hand, as memory behind V8's `BackingStore::EmptyDeleter` is.
//!
//! A store over such memory frees nothing when its last reference goes. What does is [`ManualMemory::free`], or
//! [`ManualHeap::free`] by the address; until then the memory is on the heap's list, and what is still there at the end
//! is a leak, with the place that allocated it.

use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::access::Denied;
use crate::observe::{self, EventKind};
use crate::raw::{ManualBlock, RawStore, RawWeak};
use crate::{BackingStore, Error, Holder, Rejected, Site, StoreId, StoreKind};

/// So many freed addresses are remembered.
const REMEMBERED: usize = 1024;
/// So many bytes of freed memory that was adopted are kept back. What was allocated here is not counted: pages give their
/// memory back at once, and smaller blocks have less than 64 KiB each, so that all that are remembered have less than
/// this.
const KEPT_BYTES: usize = 64 << 20;

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

struct Heap {
    // `None` until something is allocated: a static cannot hold an empty map.
    live: Option<HashMap<usize, Live>>,
    // The oldest first.
    freed: VecDeque<Freed>,
    kept_bytes: usize,
}

struct Live {
    store: StoreId,
    handle: RawWeak,
    byte_length: usize,
    allocated: Site,
    block: ManualBlock,
}

struct Freed {
    store: StoreId,
    address: usize,
    byte_length: usize,
    allocated: Site,
    freed: Site,
    // Gone where too many bytes were kept.
    block: Option<ManualBlock>,
}

static HEAP: Mutex<Heap> = Mutex::new(Heap { live: None, freed: VecDeque::new(), kept_bytes: 0 });

/// A free that was done, to be told and finished once the heap's lock is released.
#[must_use]
struct Retired {
    event: observe::Event,
    // That of the free which is no longer remembered.
    forgotten: Option<ManualBlock>,
}

impl Retired {
    fn finish(self) {
        observe::emit(|| self.event);
        drop(self.forgotten);
        loop {
            // A statement of its own: the block's drop may call what frees adopted memory, without the lock.
            let Some(block) = Heap::lock().evict() else { break };
            drop(block);
        }
    }
}

impl Heap {
    fn lock() -> MutexGuard<'static, Heap> {
        HEAP.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&mut self, live: Live) -> Result<(), Rejected<ManualBlock>> {
        let address = live.block.address();
        let table = self.live.get_or_insert_default();
        if let Some(known) = table.get(&address) {
            return Err(Rejected::new(Error::AlreadyManual { address, allocated: known.allocated }, live.block));
        }
        // Only adopted memory can be there: a block that is kept back is not allocated again.
        let kept = |freed: &&Freed| freed.address == address && freed.block.is_some();
        if let Some(freed) = self.freed.iter().find(kept).filter(|_| live.block.is_adopted()) {
            let error = Error::Freed { store: freed.store, attempted: "adopt", freed: freed.freed };
            return Err(Rejected::new(error, live.block));
        }
        // Room for the freed is made here, where failing loses nothing: a free must not need memory.
        let missing = REMEMBERED.saturating_sub(self.freed.len());
        if table.try_reserve(1).is_err() || self.freed.try_reserve_exact(missing).is_err() {
            return Err(Rejected::new(Error::OutOfMemory { requested: live.byte_length }, live.block));
        }
        table.insert(address, live);
        Ok(())
    }

    fn free_address(&mut self, address: usize, attempted: Site) -> Result<Retired, Error> {
        let live = self.live.as_ref().and_then(|live| live.get(&address));
        let before = self.freed.iter().rev().find(|freed| freed.address == address);
        match (live, before) {
            (Some(live), None) => match live.handle.upgrade() {
                Some(raw) => self.free(&BackingStore::from_raw(raw), attempted),
                // No handle, so no guard and no buffer: nobody uses it.
                None => Ok(self.retire(address, attempted)),
            },
            (Some(live), Some(freed)) => {
                let (first, allocated) = (freed.freed, live.allocated);
                Err(Error::AddressReused { address, first, allocated, attempted })
            }
            (None, Some(freed)) => Err(freed.again(attempted)),
            (None, None) => Err(Error::UnknownAddress { address, attempted, remembered: REMEMBERED }),
        }
    }

    /// Frees the memory behind `store`.
    fn free(&mut self, store: &BackingStore, attempted: Site) -> Result<Retired, Error> {
        let raw = store.raw();
        let id = raw.id();
        let address = raw.data().as_ptr().addr();
        let owner = raw.owner::<ManualOwner>().expect("manual memory has a manual owner");
        let (byte_length, allocated) = (raw.byte_length(), raw.site());
        let in_use = |holder| Error::FreeInUse { store: id, address, byte_length, allocated, attempted, holder };
        match raw.access().free() {
            Ok(()) => {
                let first = owner.freed.set(attempted);
                debug_assert!(first.is_ok(), "freed once");
                Ok(self.retire(address, attempted))
            }
            Err(Denied::Busy(holder)) => Err(in_use(holder)),
            Err(Denied::Exposed { isolate, buffers }) => Err(in_use(Holder::Isolate { isolate, buffers })),
            Err(Denied::Freed | Denied::OneBuffer { .. } | Denied::TooManyBuffers { .. }) => {
                let first = owner.freed().expect("frees are told apart under the heap's lock");
                Err(Error::DoubleFree { store: id, address, byte_length, allocated, first, second: attempted })
            }
        }
    }

    /// Moves what is live at `address` to the freed.
    fn retire(&mut self, address: usize, freed: Site) -> Retired {
        let live = self.live.as_mut().and_then(|live| live.remove(&address)).expect("live until it is freed");
        let Live { store, byte_length, allocated, mut block, .. } = live;
        self.kept_bytes += block.keep_address();
        let oldest = if self.freed.len() == REMEMBERED { self.freed.pop_front() } else { None };
        let forgotten = oldest.and_then(|oldest| oldest.block);
        self.kept_bytes -= forgotten.as_ref().map_or(0, ManualBlock::kept_bytes);
        self.freed.push_back(Freed { store, address, byte_length, allocated, freed, block: Some(block) });
        Retired {
            event: observe::Event {
                kind: EventKind::Freed { at: Some(freed) },
                store,
                store_kind: StoreKind::Manual,
                byte_length,
                address,
                created: allocated,
            },
            forgotten,
        }
    }

    /// The next block to free early: the oldest that was adopted, where more of their bytes are kept than may be.
    fn evict(&mut self) -> Option<ManualBlock> {
        if self.kept_bytes <= KEPT_BYTES {
            return None;
        }
        let oldest =
            self.freed.iter_mut().find(|freed| freed.block.as_ref().is_some_and(|block| block.kept_bytes() != 0));
        let block = oldest.and_then(|freed| freed.block.take());
        self.kept_bytes -= block.as_ref().map_or(0, ManualBlock::kept_bytes);
        block
    }
}

impl Freed {
    fn again(&self, second: Site) -> Error {
        Error::DoubleFree {
            store: self.store,
            address: self.address,
            byte_length: self.byte_length,
            allocated: self.allocated,
            first: self.freed,
            second,
        }
    }
}
