//! Blocks over memory that script and Rust may write at the same time, on any thread, and how it gets longer.

use super::{HeapMemory, Memory, Owner, RawStore, freed_at};
use crate::budget;
use crate::observe::{self, EventKind};
use crate::sys::Reservation;
use crate::{Error, Length, Site, StoreKind};

impl RawStore {
    /// A block over zeroed memory of one length.
    pub(crate) fn shared_zeroed(byte_length: usize, site: Site) -> Result<Self, Error> {
        budget::check(byte_length)?;
        Self::shared(HeapMemory::zeroed(byte_length)?, site).map_err(|(error, _)| error)
    }

    /// A block over the first `byte_length` bytes of `reservation`.
    pub(crate) fn shared_growable(reservation: Reservation, byte_length: usize, site: Site) -> Result<Self, Error> {
        reservation.commit(byte_length)?;
        let memory = |reservation: &mut Reservation| Memory { data: reservation.start(), byte_length };
        RawStore::new(reservation, StoreKind::SHARED_GROWABLE, site, memory).map_err(|(error, _)| error)
    }

    /// A block over the memory of `owner`. Only these three make blocks of shared kinds, and those of an engine's shared
    /// memory, of shared manual memory and of files that are mapped to be written: what is behind them is writable, and
    /// nobody's slice.
    pub(crate) fn shared<O: Owner>(owner: O, site: Site) -> Result<Self, (Error, O)> {
        RawStore::new(owner, StoreKind::SHARED, site, |owner| Memory::from(owner.memory()))
    }

    /// Whether the block is shared memory with room behind it; of memory of an engine, whether some is left.
    pub(crate) fn is_growable(&self) -> bool {
        let kind = self.kind();
        let has_room = || !kind.is_of_engine() || self.engine_max_byte_length() > self.byte_length();
        kind.is_shared() && kind.length() == Length::Growable && has_room()
    }

    /// Makes shared memory longer, unless it is as long already; `strict` where a longer one is an error.
    pub(crate) fn grow(&self, byte_length: usize, strict: bool) -> Result<(), Error> {
        let (store, attempted, requested) = (self.id(), "grow", byte_length);
        // Manual memory is not freed while this reference, which is no `ManualHandle`'s, lives.
        self.check_not_freed_to_grow()?;
        if self.is_of_engine() {
            // A length that it has is found by the adapters, and no error.
            let present = self.byte_length_in_order();
            return match present == requested || present > requested && !strict {
                true => Ok(()),
                false => Err(Error::EngineResizes { store, attempted, requested }),
            };
        }
        match self.is_growable().then(|| self.reservation()).flatten() {
            Some(reservation) if byte_length > reservation.max_byte_length() => {
                let max_byte_length = reservation.max_byte_length();
                Err(Error::AboveMaximum { store, attempted, requested, max_byte_length })
            }
            Some(reservation) => self.grow_with(byte_length, strict, |end| reservation.commit(end)),
            None => Err(Error::NotResizable { store, attempted, is_part: false, requested }),
        }
    }

    fn check_not_freed_to_grow(&self) -> Result<(), Error> {
        match self.is_freed() {
            true => Err(Error::Freed { store: self.id(), attempted: "grow", freed: freed_at(self) }),
            false => Ok(()),
        }
    }

    /// The same, with what commits memory up to a length before that is published. Of several who grow at once each
    /// either makes it longer or finds it longer: the lengths that were published are one rising sequence.
    pub(super) fn grow_with(
        &self,
        requested: usize,
        strict: bool,
        commit: impl Fn(usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut byte_length = self.byte_length_in_order();
        while byte_length < requested {
            let charge = self.charge_growth(requested - byte_length)?;
            commit(requested)?;
            match self.replace_byte_length(byte_length, requested) {
                Ok(()) => {
                    // From here on they count as part of the length.
                    std::mem::forget(charge);
                    observe::emit(|| self.event(EventKind::Resized));
                    return Ok(());
                }
                Err(seen) => byte_length = seen,
            }
        }
        match strict && byte_length > requested {
            true => Err(Error::SharedShrink { store: self.id(), requested, byte_length }),
            false => Ok(()),
        }
    }
}
