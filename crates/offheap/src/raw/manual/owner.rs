//! What a store over manual memory owns.

use std::sync::OnceLock;

use crate::raw::access::Denied;
use crate::raw::{Memory, RawStore};
use crate::sync::{AtomicUsize, Ordering, fence};
use crate::sys::Reservation;
use crate::{Error, Holder, Site, StoreKind, budget};

/// The place of the free and, where the memory is shared or its length changes, its addresses. The free gives all of them
/// back but one page: nobody has some of the bytes then. The page lasts until the last reference goes.
pub(in crate::raw) struct ManualOwner {
    freed: OnceLock<FreedAt>,
    room: Option<Reservation>,
    // How many handles there are, which have one reference between them (`ManualHandle`).
    handles: AtomicUsize,
}

/// Where it was freed, and how long it was then.
#[derive(Clone, Copy)]
pub(in crate::raw) struct FreedAt {
    pub(super) at: Site,
    pub(super) byte_length: usize,
}

impl ManualOwner {
    /// Of memory whose block is kept elsewhere.
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

    /// One handle more, beside the caller's.
    pub(super) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// One handle more, unless there is none.
    pub(super) fn add_handle_to_others(&self) -> bool {
        let more = |handles| if handles == 0 { None } else { Some(handles + 1) };
        self.handles.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// One handle less; true for the last one: then all that was done through the others came before.
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
    /// A block over manual memory that is shared or whose length changes, of which the observer is not told yet.
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

    /// Marks manual memory as freed, for good, unless somebody uses it. Of the references `own` are no user's: that of the
    /// memory's block, that of its handles, and the caller's.
    ///
    /// Whoever has a reference to shared memory counts as a user, since its uses leave no mark. So the count is compared and
    /// the mark set in one step: a reference that is not counted is taken afterwards, and finds the mark.
    pub(in crate::raw) fn mark_freed(&self, own: u32) -> Result<(), Denied> {
        if !self.kind().is_shared() {
            return self.access().free();
        }
        self.close(own).map_err(|others| match others {
            Some(others) => Denied::Busy(Holder::References(others)),
            None => Denied::Freed,
        })
    }

    /// Whether the memory was freed by hand. A reference to shared memory asks after it was taken, and keeps the memory from
    /// being freed where the answer is no.
    #[inline]
    pub(crate) fn is_freed(&self) -> bool {
        if self.kind().is_shared() { self.is_closed() } else { self.access().is_freed() }
    }

    /// Publishes length 0, and gives the memory and all addresses but one page back.
    ///
    /// # Panics
    /// Unless the memory was marked as freed.
    pub(in crate::raw) fn give_room_back(&self) {
        assert!(self.is_freed(), "marked before it is given back");
        let byte_length = self.take_byte_length();
        if self.is_charged() {
            budget::give_back(byte_length);
        }
        if let Some(reservation) = self.owner::<ManualOwner>().and_then(ManualOwner::reservation) {
            // SAFETY: I-MAPPED, I-FREE-ONCE: nobody uses freed memory, and it is marked as that once, under the heap's lock.
            unsafe { reservation.give_back_but_a_page() };
        }
    }
}
