//! The owner of a store over manual memory.

use std::sync::OnceLock;

use crate::raw::access::Denied;
use crate::raw::{Memory, RawStore};
use crate::sync::{AtomicUsize, Ordering, fence};
use crate::sys::{Freed, Reservation};
use crate::{Error, Holder, Site, StoreKind, budget};

/// The place of the free and, if the memory is shared or its length changes, its addresses. The free gives all of them back
/// except one page, since the memory is not in use then. The page stays until the last reference goes.
pub(in crate::raw) struct ManualOwner {
    freed: OnceLock<FreedAt>,
    room: Option<Reservation>,
    // The number of handles, which share one reference (`ManualHandle`).
    handles: AtomicUsize,
}

/// The place of a free, and the length of the memory at that time.
#[derive(Clone, Copy)]
pub(in crate::raw) struct FreedAt {
    pub(super) at: Site,
    pub(super) byte_length: usize,
}

impl ManualOwner {
    /// An owner of memory that the heap's list keeps.
    pub(in crate::raw) fn new() -> Self {
        ManualOwner { freed: OnceLock::new(), room: None, handles: AtomicUsize::new(1) }
    }

    pub(in crate::raw) fn freed(&self) -> Option<FreedAt> {
        self.freed.get().copied()
    }

    pub(in crate::raw) fn note_freed(&self, freed: FreedAt) {
        let first = self.freed.set(freed);
        debug_assert!(first.is_ok(), "freed once");
    }

    /// Counts one more handle, beside the caller's.
    pub(super) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one more handle, unless there is none.
    pub(super) fn add_handle_to_others(&self) -> bool {
        let more = |handles| if handles == 0 { None } else { Some(handles + 1) };
        self.handles.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Counts one handle less. Returns whether it was the last, in which case all uses through the others came before.
    pub(super) fn remove_handle(&self) -> bool {
        let last = self.handles.fetch_sub(1, Ordering::Release) == 1;
        if last {
            fence(Ordering::Acquire);
        }
        last
    }

    pub(in crate::raw) fn reservation(&self) -> Option<&Reservation> {
        self.room.as_ref()
    }
}

impl RawStore {
    /// A block over manual memory that is shared or whose length changes. The observer is not told yet.
    pub(in crate::raw) fn manual_room(
        kind: StoreKind,
        byte_length: usize,
        max_byte_length: Option<usize>,
        site: Site,
    ) -> Result<Self, Error> {
        let reservation = Reservation::new(max_byte_length.unwrap_or(byte_length))?;
        reservation.commit(byte_length)?;
        let memory = Memory { data: reservation.start(), byte_length };
        let owner = ManualOwner { room: Some(reservation), ..ManualOwner::new() };
        RawStore::untold(owner, kind, site, |_| memory).map_err(|(error, _)| error)
    }

    /// Marks manual memory as freed, which is final, unless it is in use. `own` references are not uses: the one of the
    /// memory's block, the one that its handles share, and the caller's.
    ///
    /// Uses of shared memory leave no mark, so every other reference to it counts as a use. The count is compared and the
    /// mark set in one step: a reference that was not counted is taken afterwards, and finds the mark. The heap's lock keeps
    /// hosts from being noted meanwhile.
    pub(in crate::raw) fn mark_freed(&self, own: u32) -> Result<(), Denied> {
        if !self.kind().is_shared() {
            return self.access().free();
        }
        if let Some(host) = self.host() {
            return Err(Denied::OfHost { host });
        }
        self.close(own).map_err(|others| match others {
            Some(others) => Denied::Busy(Holder::References(others)),
            None => Denied::Freed,
        })
    }

    /// Whether the memory was freed by hand. For shared memory this is called after a reference was taken: if the answer is
    /// no, that reference keeps the memory from being freed.
    #[inline]
    pub(crate) fn is_freed(&self) -> bool {
        if self.kind().is_shared() { self.is_closed() } else { self.access().is_freed() }
    }

    /// Publishes length 0, and gives back the memory and all addresses except one page.
    ///
    /// # Panics
    /// Unless the memory was marked as freed.
    pub(in crate::raw) fn give_room_back(&self, freed: &Freed) {
        assert!(self.is_freed(), "marked before it is given back");
        let byte_length = self.take_byte_length();
        if self.is_charged() {
            budget::give_back(byte_length);
        }
        if let Some(reservation) = self.owner::<ManualOwner>().and_then(ManualOwner::reservation) {
            // SAFETY: I-MAPPED, I-FREE-ONCE: freed memory is not used, and it is marked as freed once, under the heap's
            // lock.
            unsafe { reservation.give_back_but_a_page(freed) };
        }
    }
}
