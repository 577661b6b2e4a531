//! Stores over an engine's own blocks of memory.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use offheap::adapter::{EngineMemory, Hold, engine_store, growing_engine_store, shared_engine_memory};
use offheap::{BackingStore, FrozenOwner, FrozenStore, IsolateId, Owner, Site, UniqueStore};

use super::table::{BlockOfOwner, OwnerNumber};
use super::{AddressTable, Block, BlockUse, EngineMade};
use crate::Error;

/// The owner of a store over an engine's own block.
struct BlockOwner<B: Block> {
    // `drop` removes the entry from the table before this field is dropped.
    block: B,
    table: &'static AddressTable<B>,
    data: NonNull<u8>,
    /// The length of a block of fixed length, and the greatest length of another one.
    max_byte_length: usize,
    number: OwnerNumber,
}

impl<B: Block> BlockOwner<B> {
    /// The bytes of a block of fixed length.
    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.data, self.max_byte_length)
    }
}

impl<B: Block> Drop for BlockOwner<B> {
    fn drop(&mut self) {
        self.table.remove_made_by_engine(self.data.as_ptr().addr(), self.number);
    }
}

// SAFETY: I-OWNER-SEND: a block may be dropped on any thread (`Block`); the other fields are numbers and a
// reference to a static.
unsafe impl<B: Block> Send for BlockOwner<B> {}
// SAFETY: I-OWNER-SEND: `&BlockOwner` only reads the block's length, which any thread may do (`Block`).
unsafe impl<B: Block> Sync for BlockOwner<B> {}
// SAFETY: I-MAPPED: the block keeps its bytes and does not move them; `adopt` uses this impl for blocks of a fixed
// length. Script may write the bytes too; the store's exposure records that (`EngineMade`).
unsafe impl<B: Block> Owner for BlockOwner<B> {
    fn memory(&mut self) -> NonNull<[u8]> {
        self.bytes()
    }
}
// SAFETY: I-MAPPED: the block keeps its bytes and does not move them; `adopt` uses this impl for blocks that no
// code writes any more.
unsafe impl<B: Block> FrozenOwner for BlockOwner<B> {
    fn memory(&self) -> NonNull<[u8]> {
        self.bytes()
    }
}
// SAFETY: I-MAPPED: at each moment, the block's bytes are mapped up to its length, and it does not move them
// (`Block`).
unsafe impl<B: Block> EngineMemory for BlockOwner<B> {
    fn data(&self) -> NonNull<u8> {
        self.data
    }

    fn byte_length(&self) -> usize {
        self.block.byte_length()
    }

    fn max_byte_length(&self) -> usize {
        self.max_byte_length
    }
}

/// A block of an engine with a buffer over it, for [`AddressTable::adopt`].
#[derive(Debug)]
pub struct Adopted<B> {
    /// The block.
    pub block: B,
    /// The address of its first byte. For a block without bytes that has no address, any address that no other data
    /// has.
    pub data: NonNull<c_void>,
    /// The length of the buffer.
    pub byte_length: usize,
    /// The maximum length of the buffer, if it can grow.
    pub max_byte_length: Option<usize>,
    /// The code that writes the bytes.
    pub usage: BlockUse,
}

impl<B: Block> AddressTable<B> {
    /// Makes a store over an engine's own block, without a copy. If the store counts as exposed in `isolate`, also
    /// returns the value that the caller must [note](super::EngineMadeStores::note). If another thread has already
    /// made a store of the block, returns that store.
    ///
    /// In a host there is nothing to note: the host keeps the block for its own buffers, the store ends with its last handle, and
    /// the table finds out when the host has [released](Self::end_released) the block.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is no memory for the store or its entry.
    ///
    /// # Safety
    /// - `adopted.data` is the address of the block's first byte, if it has bytes, and `byte_length` is the current
    ///   number of its bytes.
    /// - `usage` is true of the block for as long as it lives. A host writes into immutable buffers, and may move a resizable one
    ///   untold, so a block of a host is [`Fixed`](BlockUse::Fixed), [`Growable`](BlockUse::Growable) or
    ///   [`Shared`](BlockUse::Shared).
    /// - Unless the block is shared, only script of `isolate` writes the bytes and changes their number until the
    ///   engine drops the block. Until then, the caller keeps the result noted. In a host, script of any of its isolates and its
    ///   calls may write them.
    #[track_caller]
    #[inline(never)]
    pub unsafe fn adopt(
        &'static self,
        adopted: Adopted<B>,
        isolate: IsolateId,
    ) -> Result<(BackingStore, Option<EngineMade<B>>), Error> {
        let Adopted { block, data, byte_length, max_byte_length, usage } = adopted;
        let max_byte_length = match usage {
            BlockUse::Fixed | BlockUse::Frozen => byte_length,
            BlockUse::Shared | BlockUse::Resizable | BlockUse::Growable => max_byte_length.unwrap_or(byte_length),
        };
        let is_of_host = isolate.is_host() && matches!(usage, BlockUse::Fixed | BlockUse::Growable);
        let number = OwnerNumber::new(next_number(), is_of_host);
        // SAFETY: I-FREE-ONCE: the owner gets this block, and the owner's drop removes its entry first. Here it is used while the
        // store lives.
        let of_owner = unsafe { BlockOfOwner::new(&block) };
        let owner = BlockOwner { block, table: self, data: data.cast(), max_byte_length, number };
        let (store, weak, exposed) = match usage {
            BlockUse::Fixed if is_of_host => {
                // SAFETY: I-HOST: the caller promises that the host's isolates and calls use the block, until it is released.
                let (store, weak) = unsafe { engine_store(owner, isolate, Site::here()) }?;
                (store, weak, None)
            }
            BlockUse::Growable if is_of_host => {
                // SAFETY: I-HOST, I-MAPPED: as above; the block only grows.
                let (store, weak) = unsafe { growing_engine_store(owner, isolate, Site::here()) }?;
                (store, weak, None)
            }
            _ => {
                // SAFETY: I-MAPPED: the caller's promises about the block.
                let (store, exposed) = unsafe { store_of_isolate(owner, usage, isolate) }?;
                let weak = store.downgrade();
                (store, weak, exposed.map(|exposed| EngineMade::new(exposed, B::clone(&of_owner))))
            }
        };
        if let Some(there) = self.insert_made_by_engine(data.addr().get(), number, weak, of_owner)? {
            // Another thread was faster.
            return Ok((there, None));
        }
        Ok((store, exposed))
    }
}

/// A number that no other owner gets. A thread takes many at once, so that making a store touches no shared cache line.
fn next_number() -> u64 {
    const AT_ONCE: u64 = 1024;
    static BATCHES: AtomicU64 = AtomicU64::new(0);
    thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
    let mut number = NEXT.get();
    if number.is_multiple_of(AT_ONCE) {
        number = BATCHES.fetch_add(1, Ordering::Relaxed) * AT_ONCE;
    }
    NEXT.set(number + 1);
    number
}

/// The store over an engine's own block, with a hold if it counts as exposed in the isolate.
///
/// # Safety
/// That of [`AddressTable::adopt`].
#[track_caller]
unsafe fn store_of_isolate<B: Block>(
    owner: BlockOwner<B>,
    usage: BlockUse,
    isolate: IsolateId,
) -> Result<(BackingStore, Option<Hold>), Error> {
    let data = owner.data;
    Ok(match usage {
        BlockUse::Shared => {
            // SAFETY: I-MAPPED: the caller promises that the block is shared; shared memory never shrinks.
            let shared = unsafe { shared_engine_memory(owner, Site::here()) };
            (shared?.as_store().clone(), None)
        }
        BlockUse::Frozen => (FrozenStore::from_owner(owner)?.into(), None),
        BlockUse::Resizable | BlockUse::Growable => {
            let may_shrink = usage == BlockUse::Resizable;
            // SAFETY: I-MAPPED: the caller promises that only script of this isolate resizes the block, and
            // that the hold is kept until the engine drops the block.
            let hold = unsafe { Hold::engine_memory(owner, isolate, may_shrink, Site::here()) };
            let hold = hold?;
            (hold.store(data.as_ptr(), hold.byte_length()), Some(hold))
        }
        BlockUse::Fixed => {
            let store = BackingStore::from(UniqueStore::from_owner(owner)?);
            let hold = Hold::new(&store, isolate)?;
            (store, Some(hold))
        }
    })
}

#[cfg(all(test, not(loom)))]
mod tests;
