//! Stores over an engine's own blocks, and the holds by which they count as exposed.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use offheap::adapter::{EngineMemory, Hold, shared_engine_memory};
use offheap::{BackingStore, FrozenOwner, FrozenStore, IsolateId, Owner, Site, UniqueStore};

use super::block::references;
use super::{AddressTable, Block, EndedIsolates};
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

/// Who writes the bytes of an engine's block, and who changes its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockUse {
    /// Script writes them. The block has one length.
    Fixed,
    /// Nobody writes them any more. The block has one length.
    Frozen,
    /// Any number of isolates and threads write them. The length may rise.
    Shared,
    /// Script writes them, and makes the block longer and shorter.
    Resizable,
    /// Script writes them, and makes the block longer.
    Growable,
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

/// A store over an engine's own block that counts as exposed in its isolate, until the engine lets go of the block.
#[derive(Debug)]
pub struct EngineMade<B> {
    exposed: Hold,
    block: B,
}

/// How many references to a block are ours as long as its store counts as exposed: that of the store's owner, the table's,
/// and that of [`EngineMade`].
pub(super) const KEPT_BY_US: usize = 3;

impl<B: Block> EngineMade<B> {
    /// That `hold`, on the store over `block`, is kept until the engine lets go of the block.
    pub fn new(exposed: Hold, block: B) -> Self {
        EngineMade { exposed, block }
    }

    /// Whether the engine uses the block no more: there are only our references.
    fn is_let_go(&self) -> bool {
        references(&self.block) <= KEPT_BY_US
    }
}

impl<B: Block> AddressTable<B> {
    /// A store over an engine's own block, without a copy, and what has to be [noted](EngineMadeStores::note) where it counts
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

/// The stores of one isolate over its engine's own blocks, and how much was added since the list was last looked through.
/// For adapters: no code of others runs under the lock around it.
#[derive(Debug)]
pub struct EngineMadeStores<B> {
    made: Vec<EngineMade<B>>,
    added_bytes: usize,
    /// How many stores the last look left.
    left: usize,
}

/// The list is looked through after this many more bytes, and when it has at least this many stores and twice as many as
/// the last look left. So a look costs little for each store.
const BYTES_BEFORE_A_LOOK: usize = 64 << 20;
const STORES_BEFORE_A_LOOK: usize = 64;

impl<B> Default for EngineMadeStores<B> {
    fn default() -> Self {
        EngineMadeStores { made: Vec::new(), added_bytes: 0, left: 0 }
    }
}

fn lock<B>(stores: &Mutex<EngineMadeStores<B>>) -> MutexGuard<'_, EngineMadeStores<B>> {
    stores.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Block> EngineMadeStores<B> {
    /// Notes a store until the engine lets go of its block, and ends the exposure of others first where a look is due.
    pub fn note(stores: &Mutex<Self>, ended: &EndedIsolates<B>, made: EngineMade<B>) {
        let is_due = lock(stores).look_is_due();
        if is_due {
            Self::release_let_go(stores, ended);
        }
        let mut stores = lock(stores);
        stores.added_bytes = stores.added_bytes.saturating_add(made.exposed.byte_length());
        stores.made.push(made);
    }

    /// Ends the exposure of stores whose block the engine let go of, also of those that isolates left when they ended.
    pub fn release_let_go(stores: &Mutex<Self>, ended: &EndedIsolates<B>) {
        let let_go = lock(stores).take_let_go();
        // Not under the lock: dropping them may run anybody's code.
        drop(let_go);
        ended.release();
    }

    /// Takes the list from an isolate that ends: no script of it runs any more.
    pub fn end(stores: &Mutex<Self>) -> Self {
        let mut stores = std::mem::take(&mut *lock(stores));
        // Not under the lock: dropping them may run anybody's code.
        drop(stores.take_let_go());
        stores
    }

    fn look_is_due(&self) -> bool {
        let count = self.made.len();
        self.added_bytes >= BYTES_BEFORE_A_LOOK || count >= STORES_BEFORE_A_LOOK && count / 2 >= self.left
    }

    /// Takes out those whose block the engine let go of.
    pub(super) fn take_let_go(&mut self) -> Vec<EngineMade<B>> {
        let mut let_go = Vec::new();
        let mut index = 0;
        while index < self.made.len() {
            match self.made[index].is_let_go() {
                true => let_go.push(self.made.swap_remove(index)),
                false => index += 1,
            }
        }
        self.added_bytes = 0;
        self.left = self.made.len();
        let_go
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
