//! Decides whether an isolate may lend the bytes of a store: only if no other code has them.
//!
//! A store counts as exposed in the isolate in which its buffer was made or found. Through the engine's own API, a
//! program can take the engine's block from that buffer and make a buffer of it in another isolate, whose script
//! runs on another thread. An engine reports only the number of references to a block, not their owners. So a slice
//! is lent only if each block of the store has a buffer in this isolate that has a handle, and only that buffer and
//! this crate refer to the block. Then no code can make another buffer: it would have to start from an existing
//! one, and the slice borrows the scope while it lives.

use offheap::{BackingStore, IsolateId, Sharing, StoreKind};

use super::block::references;
use super::made::KEPT_BY_US;
use super::{AddressTable, Block};
use crate::Error;

/// The reasons why bytes are not lent, in the words of one engine's API: what the program did, and what to do
/// instead.
#[derive(Clone, Copy, Debug)]
pub struct LendingAdvice {
    /// The program had a scope, and may have taken the memory to another isolate.
    pub unknown: &'static str,
    /// The buffer came from another isolate through the engine's own API.
    pub moved: &'static str,
    /// Something other than the buffer refers to its block.
    pub held: &'static str,
}

/// The isolate that is asked to lend bytes, for [`AddressTable::check_lendable`]. For adapters. No method here runs
/// script.
pub trait Lender<B> {
    /// The id of the isolate.
    fn isolate(&self) -> IsolateId;

    /// Whether a program ever had a scope of the isolate, through which it can take blocks out of the isolate.
    fn was_lent(&self) -> bool;

    /// Calls `is_enough` with the block of each buffer over `store` that has a handle, until it returns true.
    /// Returns whether it did.
    ///
    /// # Errors
    /// The errors of the engine.
    fn any_block(&self, store: &BackingStore, is_enough: &mut dyn FnMut(B) -> bool) -> Result<bool, Error>;

    /// Ends the exposure of the stores whose buffers the engine has dropped.
    fn drop_released(&self);
}

impl<B: Block> AddressTable<B> {
    fn not_lent(&self, attempted: &'static str, store: &BackingStore, here: IsolateId, why: &'static str) -> Error {
        Error::NotLent { engine: self.engine(), attempted, store: store.id(), here, why }
    }

    /// Whether the only references to a block are those of one buffer, of `block`, and of this crate.
    pub fn has_one_buffer(&self, block: &B) -> bool {
        let kept = if self.is_made_by_engine(block) { KEPT_BY_US } else { 0 };
        references(block) == kept + 2
    }

    /// Refuses to lend the bytes of `store` if other code may have them. `is_of_buffer` is true if the bytes are
    /// those of a buffer that `lender` has.
    ///
    /// # Errors
    /// [`Error::NotLent`], and those of [`Lender::any_block`].
    pub fn check_lendable(
        &self,
        lender: &impl Lender<B>,
        advice: &LendingAdvice,
        store: &BackingStore,
        is_of_buffer: bool,
        attempted: &'static str,
    ) -> Result<(), Error> {
        let here = lender.isolate();
        match store.exposure() {
            // Another isolate has the store. The core refuses that itself.
            Some((isolate, _)) if isolate != here && !is_of_buffer => Ok(()),
            Some((isolate, _)) if isolate != here => Err(self.not_lent(attempted, store, here, advice.moved)),
            Some(_) if lender.was_lent() => match self.is_all_here(lender, store)? {
                true => Ok(()),
                false => Err(self.not_lent(attempted, store, here, advice.unknown)),
            },
            Some(_) | None => Ok(()),
        }
    }

    /// Whether every block of a store belongs to a buffer that has a handle.
    #[cold]
    fn is_all_here(&self, lender: &impl Lender<B>, store: &BackingStore) -> Result<bool, Error> {
        let buffers = || store.exposure().map_or(0, |(_, buffers)| buffers);
        let counted = buffers();
        if self.are_known(lender, store, counted)? {
            return Ok(true);
        }
        // A buffer that the engine has dropped still counts until it is released here.
        lender.drop_released();
        let left = buffers();
        Ok(left == 0 || left != counted && self.are_known(lender, store, left)?)
    }

    /// Whether this many buffers over a store have handles, and each is the only buffer over its block.
    fn are_known(&self, lender: &impl Lender<B>, store: &BackingStore, buffers: u16) -> Result<bool, Error> {
        let mut seen = Vec::new();
        lender.any_block(store, &mut |block| {
            let id = block.id();
            if !seen.contains(&id) && self.has_one_buffer(&block) {
                seen.push(id);
            }
            seen.len() == usize::from(buffers)
        })
    }

    /// Refuses to access the bytes of an engine's block in place if something other than one buffer refers to it.
    /// For a store of kind [`StoreKind::ENGINE_GROWABLE`], `objects` is the number of the engine's objects that
    /// refer to the block, including its buffer.
    ///
    /// # Errors
    /// [`Error::NotLent`].
    pub fn check_not_held(
        &self,
        advice: &LendingAdvice,
        store: &BackingStore,
        here: IsolateId,
        objects: usize,
        attempted: &'static str,
    ) -> Result<(), Error> {
        let kind = store.kind();
        if kind.sharing() != Sharing::Unshared || store.exposure().is_none() {
            return Ok(());
        }
        let objects = if kind == StoreKind::ENGINE_GROWABLE { objects } else { 1 };
        match self.made_block(store) {
            // The references of this crate, those of the engine's objects, and `block`.
            Some(block) if block.use_count() > KEPT_BY_US + objects + 1 => {
                Err(self.not_lent(attempted, store, here, advice.held))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
