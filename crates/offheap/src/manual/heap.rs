//! The list of manual memory: what lives, and what was freed and is remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::access::Denied;
use crate::observe::{self, EventKind};
use crate::raw::{self, ManualBlock, ManualHandle, ManualOwner, RawStore, RawWeak};
use crate::{Error, Holder, Rejected, Site, StoreId, StoreKind};

/// So many freed addresses are remembered.
const REMEMBERED: usize = 1024;
/// So many bytes of freed memory that was adopted are kept back. What was allocated here is not counted: of pages and
/// reservations one page each is kept, and smaller blocks have less than 64 KiB each, so that all that are remembered have
/// less than this.
const KEPT_BYTES: usize = 64 << 20;

pub(super) struct Heap {
    // `None` until something is allocated: a static cannot hold an empty map.
    pub(super) live: Option<HashMap<usize, Live>>,
    // The oldest first.
    freed: VecDeque<Freed>,
    kept_bytes: usize,
}

pub(super) struct Live {
    pub(super) store: StoreId,
    pub(super) kind: StoreKind,
    pub(super) handle: RawWeak,
    // At first; the block of what changes its length knows better.
    pub(super) byte_length: usize,
    pub(super) allocated: Site,
    pub(super) block: ManualBlock,
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

impl Live {
    pub(super) fn byte_length(&self) -> usize {
        self.block.present_byte_length().unwrap_or(self.byte_length)
    }
}

static HEAP: Mutex<Heap> = Mutex::new(Heap { live: None, freed: VecDeque::new(), kept_bytes: 0 });

/// A free that was done, to be told and finished once the heap's lock is released.
#[must_use]
pub(super) struct Retired {
    event: observe::Event,
    // That of the free which is no longer remembered.
    forgotten: Option<ManualBlock>,
}

impl Retired {
    pub(super) fn finish(self) {
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
    pub(super) fn lock() -> MutexGuard<'static, Heap> {
        HEAP.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&mut self, live: Live) -> Result<(), Rejected<ManualBlock>> {
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

    pub(super) fn free_address(&mut self, address: usize, attempted: Site) -> Result<Retired, Error> {
        let live = self.live.as_ref().and_then(|live| live.get(&address));
        let before = self.freed.iter().rev().find(|freed| freed.address == address);
        match (live, before) {
            (Some(live), None) => match live.handle.upgrade() {
                Some(raw) => {
                    let handle = ManualHandle::another(&raw);
                    // The memory's own, this one, and that of all handles.
                    let own = 2 + u32::from(handle.is_some());
                    self.free(&raw, own, attempted)
                }
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

    /// Frees the memory behind `raw`, of whose references `own` are no user's ([`RawStore::mark_freed`]).
    pub(super) fn free(&mut self, raw: &RawStore, own: u32, attempted: Site) -> Result<Retired, Error> {
        let id = raw.id();
        let address = raw.data().as_ptr().addr();
        let owner = raw.owner::<ManualOwner>().expect("manual memory has a manual owner");
        let (byte_length, allocated) = (raw.byte_length(), raw.site());
        let in_use = |holder| Error::FreeInUse { store: id, address, byte_length, allocated, attempted, holder };
        match raw.mark_freed(own) {
            Ok(()) => {
                owner.note_freed(raw::Freed { at: attempted, byte_length });
                Ok(self.retire(address, attempted))
            }
            Err(Denied::Busy(holder)) => Err(in_use(holder)),
            Err(Denied::Exposed { isolate, buffers }) => Err(in_use(Holder::Isolate { isolate, buffers })),
            Err(Denied::Freed | Denied::OneBuffer { .. } | Denied::TooManyBuffers { .. }) => {
                let raw::Freed { at: first, byte_length } =
                    owner.freed().expect("frees are told apart under the heap's lock");
                Err(Error::DoubleFree { store: id, address, byte_length, allocated, first, second: attempted })
            }
        }
    }

    /// Moves what is live at `address` to the freed.
    fn retire(&mut self, address: usize, freed: Site) -> Retired {
        let live = self.live.as_mut().and_then(|live| live.remove(&address)).expect("live until it is freed");
        let byte_length = live.byte_length();
        let Live { store, kind, allocated, mut block, .. } = live;
        self.kept_bytes += block.keep_address();
        let oldest = if self.freed.len() == REMEMBERED { self.freed.pop_front() } else { None };
        let forgotten = oldest.and_then(|oldest| oldest.block);
        self.kept_bytes -= forgotten.as_ref().map_or(0, ManualBlock::kept_bytes);
        self.freed.push_back(Freed { store, address, byte_length, allocated, freed, block: Some(block) });
        Retired {
            event: observe::Event {
                kind: EventKind::Freed { at: Some(freed) },
                store,
                store_kind: kind,
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
