//! The list of manual memory: live memory, and freed memory that is remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxBuildHasher;

use super::{FreedAt, ManualBlock, ManualHandle, ManualOwner};
use crate::event::{self, Event, EventKind, Refusal};
use crate::raw::access::Denied;
use crate::raw::{RawStore, RawWeak};
use crate::sys::Freed;
use crate::{Error, Holder, IsolateId, Rejected, Site, StoreId, StoreKind};

/// How many freed addresses are remembered.
const REMEMBERED: usize = 1024;
/// How many bytes of freed adopted memory are kept. Memory that was allocated here does not count: of pages and
/// reservations one page each is kept, and smaller blocks have less than 64 KiB each, so all remembered ones together have
/// less than this.
const KEPT_BYTES: usize = 64 << 20;

struct Heap {
    live: HashMap<usize, Live, FxBuildHasher>,
    // The oldest first.
    freed: VecDeque<Remembered>,
    kept_bytes: usize,
}

struct Live {
    store: StoreId,
    kind: StoreKind,
    handle: RawWeak,
    // The length at first. If it changes, the block has the present one.
    byte_length: usize,
    allocated: Site,
    /// Whether the observer is still being told that the store was made. Until then nobody else can find the memory: a free
    /// of it would be told first (I-OBSERVED).
    is_being_told: bool,
    block: ManualBlock,
}

struct Remembered {
    store: StoreId,
    address: usize,
    byte_length: usize,
    allocated: Site,
    freed: Site,
    // `None` once it was freed early, because too many bytes were kept.
    block: Option<ManualBlock>,
}

impl Live {
    fn byte_length(&self) -> usize {
        self.block.present_byte_length().unwrap_or(self.byte_length)
    }
}

static HEAP: Mutex<Heap> =
    Mutex::new(Heap { live: HashMap::with_hasher(FxBuildHasher), freed: VecDeque::new(), kept_bytes: 0 });

/// A free whose event and last steps are left until the heap's lock is released.
#[must_use]
struct Retired {
    event: Event,
    // Keeps the control block until the observer was told of the free (I-OBSERVED).
    block: RawWeak,
    // The block of the free that is no longer remembered.
    forgotten: Option<ManualBlock>,
}

impl Retired {
    fn finish(self) {
        if self.block.is_counted() {
            event::count_freed(self.event.byte_length, self.event.store_kind);
        }
        if self.block.is_told() {
            event::tell(&self.event);
        }
        drop(self.block);
        drop(self.forgotten);
        loop {
            // A statement of its own, so that the lock is released before the block's drop calls a `free_fn`.
            let Some(block) = Heap::lock().evict() else { break };
            drop(block);
        }
    }
}

/// Manual memory that was not freed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Unfreed {
    /// The store over it.
    pub store: StoreId,
    /// Its address.
    pub address: usize,
    /// Its length in bytes.
    pub byte_length: usize,
    /// Where it was allocated or adopted.
    pub allocated: Site,
}

/// A store over `block`, and its first handle.
pub(super) fn register(
    block: ManualBlock,
    byte_length: usize,
    site: Site,
) -> Result<ManualHandle, Rejected<ManualBlock>> {
    let memory = block.memory(byte_length);
    match RawStore::untold(ManualOwner::new(), StoreKind::MANUAL, site, |_| memory) {
        Ok(raw) => list(raw, block),
        Err((error, _)) => Err(Rejected::new(error, block)),
    }
}

/// Puts a store and its block on the list. The observer is told afterwards, so it never hears of a store that the list
/// refused.
pub(super) fn list(raw: RawStore, block: ManualBlock) -> Result<ManualHandle, Rejected<ManualBlock>> {
    let (byte_length, allocated) = (raw.byte_length(), raw.site());
    let (store, kind, handle, is_being_told) = (raw.id(), raw.kind(), raw.downgrade(), raw.is_told());
    let live = Live { store, kind, handle, byte_length, allocated, is_being_told, block };
    Heap::lock().insert(live)?;
    if is_being_told {
        // Dropped after the event, and also if the observer panics.
        let _telling = Telling { address: raw.data().as_ptr().addr() };
        raw.tell_created();
    }
    Ok(ManualHandle::first(raw))
}

/// The observer is being told of the memory at an address, which can be found once this is dropped.
struct Telling {
    address: usize,
}

impl Drop for Telling {
    fn drop(&mut self) {
        let mut heap = Heap::lock();
        let live = heap.live.get_mut(&self.address);
        live.expect("only found memory is freed").is_being_told = false;
    }
}

/// Frees the memory of a handle, unless it is in use.
pub(super) fn free(raw: &RawStore, site: Site) -> Result<(), Error> {
    // Two references are not uses: the block's own, and the one that all handles share.
    let freed = Heap::lock().free(raw, 2, site);
    finish(freed)
}

/// Frees the memory that begins at this address, unless it is in use.
pub(crate) fn free_address(address: usize, site: Site) -> Result<(), Error> {
    let freed = Heap::lock().free_address(address, site);
    finish(freed)
}

/// The end of a free, after the heap's lock was released: the observer is told of the free, or of its refusal.
fn finish(freed: Result<Retired, Error>) -> Result<(), Error> {
    match freed {
        Ok(retired) => {
            retired.finish();
            Ok(())
        }
        Err(error) => {
            if let Some(refusal) = Refusal::of_free(&error) {
                event::tell_refusal(&refusal);
            }
            Err(error)
        }
    }
}

/// Notes a host that has shared memory. No free of manual memory comes in between: it asks for the mark before it looks at the
/// references, under the same lock.
pub(in crate::raw) fn note_host(raw: &RawStore, host: IsolateId) {
    let _heap = raw.kind().is_manual().then(Heap::lock);
    raw.access().note_host(host);
}

/// Takes a host's mark away from the manual memory that begins at this address.
///
/// # Safety
/// No call of the host is pending on the memory.
pub(crate) unsafe fn end_host_at(address: usize, attempted: &'static str) -> Result<(), Error> {
    let heap = Heap::lock();
    let Some(live) = heap.live.get(&address) else { return Ok(()) };
    // SAFETY: I-HOST: the caller's promise, passed on.
    match unsafe { live.handle.end_host() } {
        Err(Denied::Exposed { isolate, buffers }) => {
            Err(Error::Exposed { store: live.store, attempted, isolate, buffers })
        }
        // Memory that is live is not freed, and nothing else is refused.
        _ => Ok(()),
    }
}

/// Where manual memory was freed whose block is marked as freed. A free that is still running may not have noted its place
/// yet; it does so before it unlocks the heap.
pub(crate) fn freed_at(raw: &RawStore) -> Site {
    let owner = raw.owner::<ManualOwner>().expect("only manual memory is freed");
    let freed = owner.freed().unwrap_or_else(|| {
        drop(Heap::lock());
        owner.freed().expect("noted under the heap's lock")
    });
    freed.at
}

/// All memory that was not freed, the oldest first.
pub(crate) fn unfreed() -> Result<Vec<Unfreed>, Error> {
    let heap = Heap::lock();
    let count = heap.live.len();
    let mut unfreed = Vec::new();
    let reserved = unfreed.try_reserve_exact(count);
    reserved.map_err(|_| Error::OutOfMemory { requested: count * size_of::<Unfreed>() })?;
    unfreed.extend(heap.live.iter().filter(|(_, live)| !live.is_being_told).map(|(&address, live)| Unfreed {
        store: live.store,
        address,
        byte_length: live.byte_length(),
        allocated: live.allocated,
    }));
    drop(heap);
    unfreed.sort_unstable_by_key(|memory| memory.store);
    Ok(unfreed)
}

impl Heap {
    fn lock() -> MutexGuard<'static, Heap> {
        HEAP.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&mut self, live: Live) -> Result<(), Rejected<ManualBlock>> {
        let address = live.block.address();
        if let Some(known) = self.live.get(&address) {
            return Err(Rejected::new(Error::AlreadyManual { address, allocated: known.allocated }, live.block));
        }
        // Only adopted memory can have the address of a kept block, which is not allocated again.
        let kept = |freed: &&Remembered| freed.address == address && freed.block.is_some();
        if let Some(freed) = self.freed.iter().find(kept).filter(|_| live.block.is_adopted()) {
            let error = Error::Freed { store: freed.store, attempted: "adopt", freed: freed.freed };
            return Err(Rejected::new(error, live.block));
        }
        // Room for the free is reserved here, where a failure loses nothing: a free must not need memory.
        let missing = REMEMBERED.saturating_sub(self.freed.len());
        if self.live.try_reserve(1).is_err() || self.freed.try_reserve_exact(missing).is_err() {
            return Err(Rejected::new(Error::OutOfMemory { requested: live.byte_length }, live.block));
        }
        // Under the lock, so that no other thread counts the free first.
        if live.handle.is_counted() {
            event::count_made(live.byte_length, live.kind);
        }
        self.live.insert(address, live);
        Ok(())
    }

    fn free_address(&mut self, address: usize, attempted: Site) -> Result<Retired, Error> {
        let live = self.live.get(&address).filter(|live| !live.is_being_told);
        let before = self.freed.iter().rev().find(|freed| freed.address == address);
        match (live, before) {
            (Some(live), None) => match live.handle.upgrade() {
                Some(raw) => {
                    let handle = ManualHandle::another(&raw);
                    // Three references are not uses: the block's own, this one, and the one that all handles share.
                    let own = 2 + u32::from(handle.is_some());
                    self.free(&raw, own, attempted)
                }
                // Without a reference there is no guard and no buffer, so only a host may still use the memory.
                None => match live.handle.host() {
                    None => Ok(self.retire(address, attempted)),
                    Some(host) => {
                        let (store, allocated, byte_length) = (live.store, live.allocated, live.byte_length());
                        let holder = Holder::Host(host);
                        Err(Error::FreeInUse { store, address, byte_length, allocated, attempted, holder })
                    }
                },
            },
            (Some(live), Some(freed)) => {
                let (first, allocated) = (freed.freed, live.allocated);
                Err(Error::AddressReused { address, first, allocated, attempted })
            }
            (None, Some(freed)) => Err(freed.again(attempted)),
            (None, None) => Err(Error::UnknownAddress { address, attempted, remembered: REMEMBERED }),
        }
    }

    /// Frees the memory behind `raw`. `own` of its references are not uses ([`RawStore::mark_freed`]).
    fn free(&mut self, raw: &RawStore, own: u32, attempted: Site) -> Result<Retired, Error> {
        let id = raw.id();
        let address = raw.data().as_ptr().addr();
        let owner = raw.owner::<ManualOwner>().expect("manual memory has a manual owner");
        let (byte_length, allocated) = (raw.byte_length(), raw.site());
        let in_use = |holder| Error::FreeInUse { store: id, address, byte_length, allocated, attempted, holder };
        match raw.mark_freed(own) {
            Ok(()) => {
                owner.note_freed(FreedAt { at: attempted, byte_length });
                Ok(self.retire(address, attempted))
            }
            Err(Denied::Busy(holder)) => Err(in_use(holder)),
            Err(Denied::Exposed { isolate, buffers }) => Err(in_use(Holder::Isolate { isolate, buffers })),
            Err(Denied::OfHost { host }) => Err(in_use(Holder::Host(host))),
            Err(
                Denied::Freed
                | Denied::OneBuffer { .. }
                | Denied::TooManyBuffers { .. }
                | Denied::ReadOnlyInHost { .. },
            ) => {
                let FreedAt { at: first, byte_length } =
                    owner.freed().expect("frees are told apart under the heap's lock");
                Err(Error::DoubleFree { store: id, address, byte_length, allocated, first, second: attempted })
            }
        }
    }

    /// Moves the memory at `address` from the live to the freed.
    fn retire(&mut self, address: usize, freed: Site) -> Retired {
        let live = self.live.remove(&address).expect("live until it is freed");
        let byte_length = live.byte_length();
        let Live { store, kind, handle, allocated, mut block, .. } = live;
        let told = Freed { store, byte_length, made: allocated, freed: Some(freed) };
        self.kept_bytes += block.keep_address(&told);
        let oldest = if self.freed.len() == REMEMBERED { self.freed.pop_front() } else { None };
        let forgotten = oldest.and_then(|oldest| oldest.block);
        self.kept_bytes -= forgotten.as_ref().map_or(0, ManualBlock::kept_bytes);
        self.freed.push_back(Remembered { store, address, byte_length, allocated, freed, block: Some(block) });
        Retired {
            event: Event {
                kind: EventKind::Freed { at: Some(freed) },
                store,
                store_kind: kind,
                byte_length,
                address,
                created: allocated,
                block: handle.key(),
            },
            block: handle,
            forgotten,
        }
    }

    /// The next block to free early: the oldest adopted one, if too many bytes are kept.
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

impl Remembered {
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
