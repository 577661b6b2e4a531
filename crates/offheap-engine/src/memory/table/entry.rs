//! The holds that a table has at one address.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use offheap::adapter::IsolateRegistration;
use offheap::{IsolateId, StoreId};

#[derive(Default)]
pub(super) struct Entry {
    /// The holds of the buffers over one store: all holds on a store are the same pointer.
    pub(super) held: Option<Held>,
    /// The holds on further stores. Read-only memory, such as a `static`, may have several stores. This is rare, so it takes one
    /// word: the smaller the entries, the more of them are in the caches.
    #[expect(clippy::box_collection, reason = "a `Vec` is three words")]
    pub(super) more: Option<Box<Vec<Held>>>,
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
    /// Whether the engine itself may have made a buffer over this memory, because there was a store over its block.
    pub(super) is_of_engine: bool,
    /// Whether the entry was remembered in its place, which then may still have it.
    pub(super) was_remembered: bool,
}

// SAFETY: I-OWNER-SEND: a hold is a reference to a store, and references to stores may be sent.
unsafe impl Send for Held {}

impl Entry {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_none() && self.more.is_none()
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
