//! Whether an isolate may lend the bytes of a store: whether nobody else has them.
//!
//! A store counts as exposed in the isolate in which its buffer was made or found. A program may take the engine's block from
//! that buffer, through the engine's own API, and make a buffer of it in another isolate, whose script runs on another
//! thread. An engine does not say who has a block, only how many references to it there are. So a slice is lent where each
//! block of the store has a buffer here that a handle is for, and there is no reference besides that buffer's and ours.
//! Nobody can make another one then: it would be made from an existing one, and the scope is borrowed while the slice lives.

use offheap::{BackingStore, IsolateId, Sharing, StoreKind};

use super::block::references;
use super::made::KEPT_BY_US;
use super::{AddressTable, Block};
use crate::Error;

/// Why bytes are not lent, in the words of one engine's API: what the program did, and what to do instead.
#[derive(Clone, Copy, Debug)]
pub struct LendingAdvice {
    /// The program had a scope, and may have taken the memory to another isolate.
    pub unknown: &'static str,
    /// The buffer came from another isolate by means of the engine's own.
    pub moved: &'static str,
    /// Something besides the buffer refers to its block.
    pub held: &'static str,
}

/// What [`AddressTable::check_lendable`] asks the isolate that is to lend bytes. For adapters. Nothing here runs script.
pub trait Lender<B> {
    /// The isolate.
    fn isolate(&self) -> IsolateId;

    /// Whether a program ever had a scope of the isolate, by which it can take blocks out of it.
    fn was_lent(&self) -> bool;

    /// Calls `is_enough` with the block of each buffer over `store` that a handle is for, until it returns true, and returns
    /// whether it did.
    ///
    /// # Errors
    /// Those of asking the engine.
    fn any_block(&self, store: &BackingStore, is_enough: &mut dyn FnMut(B) -> bool) -> Result<bool, Error>;

    /// Ends the exposure of stores whose buffers the engine let go of.
    fn release_let_go(&self);
}

impl<B: Block> AddressTable<B> {
    fn not_lent(&self, attempted: &'static str, store: &BackingStore, here: IsolateId, why: &'static str) -> Error {
        Error::NotLent { engine: self.engine(), attempted, store: store.id(), here, why }
    }

    /// Whether the only references to a block are those of one buffer, `block`, and ours.
    pub fn has_one_buffer(&self, block: &B) -> bool {
        let kept = if self.is_made_by_engine(block) { KEPT_BY_US } else { 0 };
        references(block) == kept + 2
    }

    /// Refuses what would lend the bytes of `store` unless nobody else has them. With `is_of_buffer` they are those of a
    /// buffer that `lender` has.
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
            // Another isolate has it, which the core refuses by itself.
            Some((isolate, _)) if isolate != here && !is_of_buffer => Ok(()),
            Some((isolate, _)) if isolate != here => Err(self.not_lent(attempted, store, here, advice.moved)),
            Some(_) if lender.was_lent() => match self.is_all_here(lender, store)? {
                true => Ok(()),
                false => Err(self.not_lent(attempted, store, here, advice.unknown)),
            },
            Some(_) | None => Ok(()),
        }
    }

    /// Whether all blocks of a store are those of buffers that handles are for.
    #[cold]
    fn is_all_here(&self, lender: &impl Lender<B>, store: &BackingStore) -> Result<bool, Error> {
        let buffers = || store.exposure().map_or(0, |(_, buffers)| buffers);
        let counted = buffers();
        if self.are_known(lender, store, counted)? {
            return Ok(true);
        }
        // What the engine let go of counts as a buffer until it is looked at.
        lender.release_let_go();
        let left = buffers();
        Ok(left == 0 || left != counted && self.are_known(lender, store, left)?)
    }

    /// Whether handles are for this many buffers over a store, each the only one of its block.
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

    /// Refuses to touch the bytes of an engine's block as they are, where something besides one buffer refers to it. `objects`
    /// is how many objects of the engine refer to the block of a store of kind [`StoreKind::ENGINE_GROWABLE`], its buffer
    /// included.
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
            // Ours, those of the engine's objects, and this one.
            Some(block) if block.use_count() > KEPT_BY_US + objects + 1 => {
                Err(self.not_lent(attempted, store, here, advice.held))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
