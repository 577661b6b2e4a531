//! Blocks over shared memory, which script and Rust may write at the same time on any thread, and its growth.

use super::{HeapMemory, Memory, Owner, RawStore, freed_at};
use crate::budget;
use crate::sys::Reservation;
use crate::{Error, Length, Site, StoreKind};

impl RawStore {
    /// A block over zeroed memory of fixed length.
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

    /// A block over the memory of `owner`. Blocks of shared kinds are made by these three functions, and for an engine's
    /// shared memory, for shared manual memory and for files that are mapped to be written. Their memory is writable and
    /// never lent as a slice.
    pub(crate) fn shared<O: Owner>(owner: O, site: Site) -> Result<Self, (Error, O)> {
        RawStore::new(owner, StoreKind::SHARED, site, |owner| Memory::from(owner.memory()))
    }

    /// Whether the block is shared memory that can grow. For an engine's memory: whether it is shorter than its maximum.
    pub(crate) fn is_growable(&self) -> bool {
        let kind = self.kind();
        let has_room = || !kind.is_of_engine() || self.engine_max_byte_length() > self.byte_length();
        kind.is_shared() && kind.length() == Length::Growable && has_room()
    }

    /// Makes shared memory at least this long. With `strict` it is an error if the memory is longer already.
    pub(crate) fn grow(&self, byte_length: usize, strict: bool) -> Result<(), Error> {
        let (store, attempted, requested) = (self.id(), "grow", byte_length);
        // Manual memory is not freed while this reference lives, which is not a `ManualHandle`'s.
        self.check_not_freed_to_grow()?;
        if self.is_of_engine() {
            // An adapter may pass on a length that the engine has reached already.
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

    /// Makes shared memory at least this long. `commit` commits memory up to a length before that is published. If several
    /// threads grow the memory at once, each one either makes it longer or finds it longer: the published length only
    /// rises.
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
                    self.tell_resized(byte_length, requested);
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
