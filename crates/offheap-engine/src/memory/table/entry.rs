//! What a table has at one address.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use offheap::adapter::IsolateRegistration;
use offheap::{IsolateId, StoreId, WeakStore};

use super::super::Block;
use super::super::block::references;

pub(super) struct Entry<B> {
    /// The holds of the buffers over one store: all holds on a store are the same pointer.
    pub(super) held: Option<Held>,
    /// The holds on further stores. Read-only memory, such as a `static`, may have several stores. This is rare, so it takes one
    /// word: the smaller the entries, the more of them are in the caches.
    #[expect(clippy::box_collection, reason = "a `Vec` is three words")]
    pub(super) more: Option<Box<Vec<Held>>>,
    pub(super) made_by_engine: Option<MadeByEngine<B>>,
}

/// The store over an engine's own block.
pub(super) struct MadeByEngine<B> {
    /// The number of the store's owner.
    pub(super) owner: u64,
    pub(super) store: WeakStore,
    pub(super) block: BlockOfOwner<B>,
    /// Whether the store counts as exposed until the entry says that the block was released.
    pub(super) is_of_host: bool,
}

/// The block of a store's owner, without a reference of its own.
pub(in crate::memory) struct BlockOfOwner<B>(ManuallyDrop<B>);

impl<B> BlockOfOwner<B> {
    /// # Safety
    /// It is used while the owner of a store has this block. If it is in an entry, the owner removes the entry before it drops the
    /// block, or finds that it was replaced.
    pub(in crate::memory) unsafe fn new(block: &B) -> Self {
        // SAFETY: I-FREE-ONCE: this copy is never dropped, and not used after the owner's, as the caller promises.
        BlockOfOwner(ManuallyDrop::new(unsafe { ptr::read(block) }))
    }
}

impl<B> Deref for BlockOfOwner<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.0
    }
}

pub(super) struct Held {
    pub(super) hold: NonNull<c_void>,
    pub(super) store: StoreId,
    pub(super) count: usize,
    /// The isolate of the first hold: the isolate in which an unshared store is exposed.
    pub(super) isolate: IsolateId,
    /// Keeps the id of that isolate in use while holds are counted, which may outlive the isolate. A host does not end.
    pub(super) registration: Option<Arc<IsolateRegistration>>,
    pub(super) read_only: bool,
    /// Whether no other isolate had a buffer over the store while this entry was there. Read-only and shared memory may be
    /// in several.
    pub(super) is_only_isolate: bool,
    /// Whether the entry was remembered in its place, which then may still have it.
    pub(super) was_remembered: bool,
}

// SAFETY: I-OWNER-SEND: a hold is a reference to a store, and references to stores may be sent.
unsafe impl Send for Held {}

impl<B> Default for Entry<B> {
    fn default() -> Self {
        Entry { held: None, more: None, made_by_engine: None }
    }
}

/// The references of this crate to the block of a host's store: one, in the store's owner.
const KEPT_OF_HOST: usize = 1;

impl<B: Block> Entry<B> {
    /// The store of a host over its own block, if the host has released the block: only references of this crate are left.
    pub(super) fn released(&self) -> Option<&WeakStore> {
        let made = self.made_by_engine.as_ref().filter(|made| made.is_of_host)?;
        (references(&*made.block) <= KEPT_OF_HOST).then_some(&made.store)
    }
}

impl<B> Entry<B> {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_none() && self.more.is_none() && self.made_by_engine.is_none()
    }

    pub(super) fn find_held(&mut self, is_it: impl Fn(&Held) -> bool) -> Option<&mut Held> {
        self.held.iter_mut().chain(self.more.iter_mut().flat_map(|more| more.iter_mut())).find(|held| is_it(held))
    }

    /// Removes what [`find_held`](Self::find_held) finds for this hold.
    pub(super) fn remove_held(&mut self, hold: NonNull<c_void>) -> Option<Held> {
        let Some(more) = &mut self.more else { return self.held.take_if(|held| held.hold == hold) };
        let gone = match &self.held {
            Some(held) if held.hold == hold => std::mem::replace(&mut self.held, more.pop()),
            _ => more.iter().position(|held| held.hold == hold).map(|index| more.swap_remove(index)),
        };
        if more.is_empty() {
            self.more = None;
        }
        gone
    }
}
