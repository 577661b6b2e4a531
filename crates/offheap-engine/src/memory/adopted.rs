//! Stores over an engine's own blocks.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use offheap::adapter::{EngineMemory, Hold, shared_engine_memory};
use offheap::{BackingStore, FrozenOwner, FrozenStore, IsolateId, Owner, Site, UniqueStore};

use super::{AddressTable, Block, BlockUse, EngineMade};
use crate::Error;

/// The owner of a store over an engine's own block.
struct BlockOwner<B: Block> {
    // Dropped after `drop` removed the entry from the table.
    block: B,
    table: &'static AddressTable<B>,
    data: NonNull<u8>,
    /// When the store was made. A block of one length keeps it.
    byte_length: usize,
    max_byte_length: usize,
    number: u64,
}

impl<B: Block> BlockOwner<B> {
    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.data, self.byte_length)
    }
}

impl<B: Block> Drop for BlockOwner<B> {
    fn drop(&mut self) {
        self.table.remove_made_by_engine(self.data.as_ptr().addr(), self.number);
    }
}

// SAFETY: I-OWNER-SEND: a block may be let go of on any thread (`Block`); the rest are numbers and a static.
unsafe impl<B: Block> Send for BlockOwner<B> {}
// SAFETY: I-OWNER-SEND: `&BlockOwner` asks the block for its length, which any thread may (`Block`).
unsafe impl<B: Block> Sync for BlockOwner<B> {}
// SAFETY: I-MAPPED: the block keeps its bytes and does not move them; `adopt` uses this for those of one length. Script writes
// them too, which the exposure of the store says (`EngineMade`).
unsafe impl<B: Block> Owner for BlockOwner<B> {
    fn memory(&mut self) -> NonNull<[u8]> {
        self.bytes()
    }
}
// SAFETY: I-MAPPED: as above; `adopt` uses this for blocks that nobody writes any more.
unsafe impl<B: Block> FrozenOwner for BlockOwner<B> {
    fn memory(&self) -> NonNull<[u8]> {
        self.bytes()
    }
}
// SAFETY: I-MAPPED: the block's bytes are mapped up to its length at each moment, and it does not move them (`Block`).
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

/// An engine's block that a buffer is over, for [`AddressTable::adopt`].
#[derive(Debug)]
pub struct Adopted<B> {
    /// The block.
    pub block: B,
    /// Where its bytes begin. A block without an address, which has no bytes, has one here that is nobody else's data.
    pub data: NonNull<c_void>,
    /// The length of the buffer.
    pub byte_length: usize,
    /// The most bytes that it can have, where it can have more.
    pub max_byte_length: Option<usize>,
    /// Who writes the bytes.
    pub usage: BlockUse,
}

impl<B: Block> AddressTable<B> {
    /// A store over an engine's own block, without a copy, and what has to be [noted](super::EngineMadeStores::note) where it counts
    /// as exposed in `isolate`. Where another thread made a store of the block before, that one.
    ///
    /// # Errors
    /// [`Error::Memory`] where there is no memory for the store, or its entry.
    ///
    /// # Safety
    /// - `adopted.data` is where the block's bytes begin, if it has any, and `byte_length` their number at this moment.
    /// - `usage` is true of the block for as long as it lives.
    /// - Except for shared blocks, only script of `isolate` writes the bytes and changes their number, until the engine lets
    ///   go of the block. The caller notes the result until then.
    #[track_caller]
    #[inline(never)]
    pub unsafe fn adopt(
        &'static self,
        adopted: Adopted<B>,
        isolate: IsolateId,
    ) -> Result<(BackingStore, Option<EngineMade<B>>), Error> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let Adopted { block, data, byte_length, max_byte_length, usage } = adopted;
        let max_byte_length = max_byte_length.unwrap_or(byte_length);
        let owner =
            BlockOwner { block: block.clone(), table: self, data: data.cast(), byte_length, max_byte_length, number };
        let (store, exposed) = match usage {
            BlockUse::Shared => {
                // SAFETY: I-MAPPED: the caller's promise: shared memory never gets shorter.
                let shared = unsafe { shared_engine_memory(owner, Site::here()) };
                (shared?.as_store().clone(), None)
            }
            BlockUse::Frozen => (FrozenStore::from_owner(owner)?.into(), None),
            BlockUse::Resizable | BlockUse::Growable => {
                let may_shrink = usage == BlockUse::Resizable;
                // SAFETY: I-MAPPED: the caller's promise: only script of this isolate resizes it; the hold is kept until
                // the engine let go.
                let hold = unsafe { Hold::engine_memory(owner, isolate, may_shrink, Site::here()) };
                let hold = hold?;
                (hold.store(data.as_ptr().cast(), hold.byte_length()), Some(hold))
            }
            BlockUse::Fixed => {
                let store = BackingStore::from(UniqueStore::from_owner(owner)?);
                let hold = Hold::new(&store, isolate)?;
                (store, Some(hold))
            }
        };
        if let Some(there) = self.insert_made_by_engine(data.addr().get(), number, &store, &block)? {
            // Another thread was faster.
            return Ok((there, None));
        }
        Ok((store, exposed.map(|exposed| EngineMade::new(exposed, block))))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
