//! What a table knows of the stores over an engine's own blocks.

use offheap::adapter::engine_released;
use offheap::{BackingStore, WeakStore};

use super::made::{BlockOfOwner, MadeByEngine, OwnerNumber};
use super::{AddressTable, Location};
use crate::Error;
use crate::memory::Block;

impl<B: Block> AddressTable<B> {
    /// Calls `ask` with the store over an engine's own block at this address, if there is one, while its shard is locked.
    fn with_made<R>(&self, address: usize, ask: impl FnOnce(&MadeByEngine<B>) -> R) -> Option<R> {
        let entries = self.lock(address);
        entries.made.get(address, Location::of(address).place).map(ask)
    }

    /// Whether a live store exists over this block of the engine.
    pub fn is_made_by_engine(&self, block: &B) -> bool {
        let Some(data) = block.data() else { return false };
        self.with_made(data.addr().get(), |made| made.block.id() == block.id()).unwrap_or(false)
    }

    /// The engine's own block behind `store`, which may be a part of a store; `None` if Rust made the memory.
    pub fn made_block(&self, store: &BackingStore) -> Option<B> {
        let address = store.as_ptr().addr() - store.byte_offset();
        self.with_made(address, |made| B::clone(&made.block))
    }

    /// The engine's own block behind `store`, if `store` is the whole of its memory.
    pub fn block_of(&self, store: &BackingStore) -> Option<B> {
        // The upgraded reference may be the last one to another store by now, so it is dropped without the lock.
        let (there, block) = self
            .with_made(store.as_ptr().addr(), |made| Some((made.store.upgrade()?, B::clone(&made.block))))
            .flatten()?;
        // The table's reference is to the whole store; a part has a fixed length.
        let is_whole = store.byte_offset() == 0 && there.max_byte_length() == store.max_byte_length();
        (there.id() == store.id() && is_whole).then_some(block)
    }

    /// Notes the store over an engine's own block, with the number of its owner. If the table already has a live
    /// store of that memory, returns that store instead.
    #[inline]
    pub(in crate::memory) fn insert_made_by_engine(
        &self,
        address: usize,
        owner: OwnerNumber,
        store: WeakStore,
        block: BlockOfOwner<B>,
    ) -> Result<Option<BackingStore>, Error> {
        let location = Location::of(address);
        let mut entries = self.lock(address);
        if !self.occupied.is_empty_at(location) {
            if let Some(there) = entries.made.get(address, location.place).and_then(|made| made.store.upgrade()) {
                return Ok(Some(there));
            }
            if let Some(held) = entries.held.get_mut(&address).and_then(|entry| entry.held.as_mut()) {
                held.is_of_engine = true;
                if held.was_remembered {
                    self.shard(address).1.forget(address);
                }
            }
            // The store of an owner that is about to be dropped.
            if entries.made.remove_if(address, location.place, |_| true).is_some() {
                self.occupied.remove_made(location);
            }
        }
        entries.made.insert(address, location.place, MadeByEngine { owner, store, block })?;
        self.occupied.add_made(location);
        Ok(None)
    }

    /// Ends the exposure of the stores of a host over its own blocks that it has released. It looks through the whole table.
    pub fn end_released(&self) {
        let mut released = Vec::new();
        for (_, shard) in self.shards.iter().enumerate().filter(|&(shard, _)| self.occupied.has_made(shard)) {
            released.extend(shard.lock().made.iter().filter_map(MadeByEngine::released).cloned());
        }
        released.iter().for_each(end_released);
    }

    /// Ends the exposure of a store of a host over its own block, if it has released the block.
    pub fn end_released_of(&self, store: &BackingStore) {
        let address = store.as_ptr().addr() - store.byte_offset();
        let released = self.with_made(address, |made| made.released().cloned()).flatten();
        released.iter().for_each(end_released);
    }

    /// Removes the store that [`insert_made_by_engine`](Self::insert_made_by_engine) noted, unless another store of the same
    /// memory has taken its place. Called before the owner drops the block.
    #[inline]
    pub(in crate::memory) fn remove_made_by_engine(&self, address: usize, owner: OwnerNumber) {
        let location = Location::of(address);
        let mut entries = self.lock(address);
        if entries.made.remove_if(address, location.place, |made| made.owner == owner).is_some() {
            self.occupied.remove_made(location);
        }
    }
}

/// Ends the exposure of a store whose block was [released](MadeByEngine::released).
fn end_released(store: &WeakStore) {
    // SAFETY: I-HOST: the host has no reference to the block any more, so it gets none, and all its uses came before
    // (`references`). The table's own references are not given to it.
    unsafe { engine_released(store) };
}
