//! Changes of a store's length, while other threads may use it.

use super::access::{AccessWord, Denied};
use super::manual::ManualOwner;
use super::{Memory, RawStore, UniqueRef, store_bytes};
use crate::budget::{self, Charge};
use crate::sys::{Freed, Reservation};
use crate::{Error, IsolateId, Site, StoreKind};

/// Why a length was not changed.
pub(crate) enum Refused {
    Denied(Denied),
    Error(Error),
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Refused {
        Refused::Denied(denied)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Error(error)
    }
}

impl UniqueRef {
    /// A block over the first `byte_length` bytes of `reservation`, which this commits.
    pub(crate) fn resizable(reservation: Reservation, byte_length: usize, site: Site) -> Result<Self, Error> {
        reservation.commit(byte_length)?;
        let memory = |reservation: &mut Reservation| Memory { data: reservation.start(), byte_length };
        RawStore::new(reservation, StoreKind::RESIZABLE, site, memory).map(UniqueRef::of).map_err(|(error, _)| error)
    }

    /// Changes the length of a block of a resizable kind.
    pub(crate) fn resize(&mut self, byte_length: usize) -> Result<(), Refused> {
        self.raw().resize(None, byte_length)
    }
}

impl RawStore {
    pub(super) fn reservation(&self) -> Option<&Reservation> {
        match self.kind().is_manual() {
            true => self.owner::<ManualOwner>()?.reservation(),
            false => self.owner(),
        }
    }

    /// Gives a reservation to the quarantine, with the last reference: nobody uses the bytes any more.
    #[cold]
    pub(super) fn quarantine(&self) {
        let freed = Freed { store: self.id(), byte_length: self.byte_length(), made: self.site(), freed: None };
        if let Some(reservation) = self.reservation() {
            // SAFETY: I-FREE-ONCE: the caller drops the last reference, once, and the owner with the reservation next.
            unsafe { reservation.quarantine(&freed) };
        }
    }

    /// The greatest length that the block's memory can have.
    #[inline]
    pub(crate) fn max_byte_length(&self) -> usize {
        if self.is_of_engine() {
            return self.engine_max_byte_length();
        }
        self.reservation().map_or_else(|| self.byte_length(), Reservation::max_byte_length)
    }

    /// Changes the block's length, in `scope` (the isolate whose script is stopped) or outside all isolates.
    pub(crate) fn resize(&self, scope: Option<IsolateId>, byte_length: usize) -> Result<(), Refused> {
        let (store, attempted, requested) = (self.id(), "resize", byte_length);
        if self.is_of_engine() {
            return Err(Error::EngineResizes { store, attempted, requested }.into());
        }
        let Some(reservation) = self.reservation().filter(|_| self.kind().may_shrink()) else {
            return Err(Error::NotResizable { store, attempted, is_part: false, requested }.into());
        };
        let max_byte_length = reservation.max_byte_length();
        if byte_length > max_byte_length {
            return Err(Error::AboveMaximum { store, attempted, requested, max_byte_length }.into());
        }
        // SAFETY: I-BORROW: while the block shrinks no guard has these bytes, and copies tolerate writers.
        let clear = |from, end| unsafe { clear(reservation, from, end) };
        self.resize_with(scope, byte_length, |end| reservation.commit(end), clear)
    }

    /// Changes the block's length. `commit` commits memory up to a longer length before that is published; `clear` clears
    /// the bytes between two lengths after the shorter one was published.
    pub(super) fn resize_with(
        &self,
        scope: Option<IsolateId>,
        byte_length: usize,
        commit: impl FnOnce(usize) -> Result<(), Error>,
        clear: impl FnOnce(usize, usize),
    ) -> Result<(), Refused> {
        let (before, resizing) = self.begin_resize(scope, byte_length)?;
        if byte_length < before {
            self.set_byte_length(byte_length);
            clear(byte_length, before);
            if self.is_charged() {
                budget::give_back(before - byte_length);
            }
        } else if byte_length > before {
            let charge = self.charge_growth(byte_length - before)?;
            commit(byte_length)?;
            self.set_byte_length(byte_length);
            // From here on the charge is part of the block's.
            std::mem::forget(charge);
        }
        if byte_length != before {
            // Told while the mark is set, so that the observer cannot hear of a free or of another length first.
            self.tell_resized(before, byte_length);
        }
        drop(resizing);
        Ok(())
    }

    /// Charges the budget for growth, if the block counts; returned unless the growth succeeds.
    pub(super) fn charge_growth(&self, byte_length: usize) -> Result<Charge, Error> {
        if !self.is_charged() {
            return Ok(Charge::of(0));
        }
        budget::take_more(byte_length).map(|()| Charge::of(byte_length))
    }

    /// Keeps other threads from resizing. Returns the length, which does not change until the mark is dropped.
    fn begin_resize(&self, scope: Option<IsolateId>, byte_length: usize) -> Result<(usize, Resizing<'_>), Denied> {
        loop {
            let shrinks = byte_length < self.byte_length();
            self.access().begin_resize(scope, shrinks)?;
            let resizing = Resizing(self.access());
            let before = self.byte_length();
            if shrinks == (byte_length < before) {
                return Ok((before, resizing));
            }
            // Another thread resized it in between, and the mark is for the wrong direction.
        }
    }
}

/// The mark of a thread that resizes.
struct Resizing<'a>(&'a AccessWord);

impl Drop for Resizing<'_> {
    fn drop(&mut self) {
        self.0.end_resize();
    }
}

/// Zeroes bytes `from..end` of a reservation and gives whole pages among them back. They stay readable.
///
/// # Safety
/// The bytes are committed, and no slice of them lives.
unsafe fn clear(reservation: &Reservation, from: usize, end: usize) {
    let page = Reservation::next_page(from).min(end);
    // SAFETY: I-MAPPED: the caller's promise.
    unsafe { zero(reservation, from, page) };
    if page < end && !reservation.release(page, end) {
        // Pages that are locked in memory cannot be given back.
        // SAFETY: I-MAPPED: the caller's promise.
        unsafe { zero(reservation, page, end) };
    }
}

/// # Safety
/// The bytes are committed, and no slice of them lives.
unsafe fn zero(reservation: &Reservation, from: usize, end: usize) {
    static ZEROS: [u8; 4096] = [0; 4096];
    for offset in (from..end).step_by(ZEROS.len()) {
        // SAFETY: I-LAYOUT: inside the reservation.
        let into = unsafe { reservation.start().add(offset) };
        let count = ZEROS.len().min(end - offset);
        // SAFETY: I-BORROW: committed and not lent as a slice, as the caller says. Copies tolerate this write.
        unsafe { store_bytes(into.as_ptr(), &ZEROS[..count]) };
    }
}
