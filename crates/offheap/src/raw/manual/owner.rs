//! What a store over manual memory owns.

use std::sync::OnceLock;

use crate::raw::{Memory, RawStore};
use crate::sync::{AtomicUsize, Ordering};
use crate::sys::Reservation;
use crate::{Error, Site, StoreKind, budget};

/// The place of the free and, where the memory is shared or its length changes, its addresses: those last until the last
/// reference goes, so that whoever has some of the bytes never faults. What the free gives back is the memory behind them.
pub(crate) struct ManualOwner {
    freed: OnceLock<Freed>,
    room: Option<Room>,
    // How many `ManualMemory` there are: references that do not keep the memory from being freed.
    handles: AtomicUsize,
}

/// Where it was freed, and how long it was then.
#[derive(Clone, Copy)]
pub(crate) struct Freed {
    pub(crate) at: Site,
    pub(crate) byte_length: usize,
}

struct Room {
    reservation: Reservation,
    length_changes: bool,
}

impl ManualOwner {
    /// Of memory whose block is kept elsewhere.
    pub(crate) fn new() -> Self {
        ManualOwner { freed: OnceLock::new(), room: None, handles: AtomicUsize::new(1) }
    }

    pub(crate) fn freed(&self) -> Option<Freed> {
        self.freed.get().copied()
    }

    pub(crate) fn note_freed(&self, freed: Freed) {
        let first = self.freed.set(freed);
        debug_assert!(first.is_ok(), "freed once");
    }

    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove_handle(&self) {
        self.handles.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn handles(&self) -> usize {
        self.handles.load(Ordering::Relaxed)
    }

    pub(crate) fn reservation(&self) -> Option<&Reservation> {
        self.room.as_ref().map(|room| &room.reservation)
    }

    pub(crate) fn length_changes(&self) -> bool {
        self.room.as_ref().is_some_and(|room| room.length_changes)
    }
}

impl RawStore {
    /// A block over manual memory of the kind `Shared` or `Resizable`, of which the observer is not told yet.
    pub(crate) fn manual_room(
        kind: StoreKind,
        byte_length: usize,
        max_byte_length: Option<usize>,
        site: Site,
    ) -> Result<Self, Error> {
        let reservation = Reservation::new(max_byte_length.unwrap_or(byte_length))?;
        reservation.commit(byte_length)?;
        let memory = Memory { data: reservation.start(), byte_length };
        let room = Some(Room { reservation, length_changes: max_byte_length.is_some() });
        let owner = ManualOwner { room, ..ManualOwner::new() };
        RawStore::untold(owner, kind, site, |_| memory).map_err(|(error, _)| error)
    }

    /// Whether the memory is freed by hand.
    pub(crate) fn is_manual(&self) -> bool {
        match self.kind() {
            StoreKind::Manual => true,
            StoreKind::Resizable | StoreKind::Shared => self.is_from::<ManualOwner>(),
            _ => false,
        }
    }

    /// Publishes length 0 and gives the memory back, and not the addresses; the access word says that it was freed.
    pub(in crate::raw) fn give_room_back(&self) {
        // In one step: somebody may be growing it, and what counts in the budget is what is taken away here.
        let byte_length = self.take_byte_length();
        if self.is_charged() {
            budget::give_back(byte_length);
        }
        if let Some(reservation) = self.owner::<ManualOwner>().and_then(ManualOwner::reservation) {
            // Where the system refuses, they go with the addresses.
            let _ = reservation.release(0, reservation.max_byte_length());
        }
    }
}
