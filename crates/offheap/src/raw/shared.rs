//! Memory that script and Rust may write at the same time, on any thread: seen through atomics, and by copies.

use std::ptr::NonNull;
// Not through `crate::sync`: these are the bytes themselves, which loom cannot stand in for.
use std::sync::atomic::{AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use super::{HeapMemory, Memory, Owner, RawStore, load_bytes, store_bytes};
use crate::budget;
use crate::manual::freed_at;
use crate::observe::{self, EventKind};
use crate::sys::Reservation;
use crate::{BackingStore, Error, Length, Site, StoreKind};

/// An atomic integer of std that shared memory can be seen as; for [`SharedStore::as_atomics_of`](crate::SharedStore).
pub trait AtomicElement: sealed::Sealed + Sync + 'static {}

mod sealed {
    /// # Safety
    /// As large as it is aligned, and every bit pattern is one of its values.
    pub unsafe trait Sealed {}
}

macro_rules! atomic_elements {
    ($($atomic:ty),*) => {$(
        const _: () = assert!(size_of::<$atomic>() == align_of::<$atomic>());
        // SAFETY: I-POD: an atomic integer has the values of its integer; its size is asserted above.
        unsafe impl sealed::Sealed for $atomic {}
        impl AtomicElement for $atomic {}
    )*};
}

atomic_elements!(AtomicU8, AtomicI8, AtomicU16, AtomicI16, AtomicU32, AtomicI32, AtomicU64, AtomicI64);

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
    pub(crate) fn grow_with(
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

impl BackingStore {
    /// The bytes of shared memory as atomics; none of another kind, where somebody may have a slice.
    pub(crate) fn atomics(&self) -> &[AtomicU8] {
        if !self.kind().is_shared() {
            return &[];
        }
        // Of memory that was freed there is nothing; what was not is not freed while this reference lives.
        let byte_length = if self.raw().is_freed() { 0 } else { self.byte_length_in_order() };
        let data = NonNull::slice_from_raw_parts(self.data().cast::<AtomicU8>(), byte_length);
        // SAFETY: I-MAPPED, I-BORROW: shared memory is mapped, and as long, while this handle lives; it is nobody's
        // slice; an `AtomicU8` is a `u8`.
        unsafe { data.as_ref() }
    }

    /// The same as larger elements, where the address and the length allow for them.
    ///
    /// # Safety
    /// As for [`SharedStore::as_atomics_of`](crate::SharedStore::as_atomics_of).
    pub(crate) unsafe fn atomics_of<A: AtomicElement>(&self) -> Result<&[A], Error> {
        let bytes = self.atomics();
        let element_count = self.check_elements::<A>(bytes.len())?;
        let elements = NonNull::slice_from_raw_parts(NonNull::from(bytes).cast::<A>(), element_count);
        // SAFETY: I-BORROW, I-POD: these bytes as `atomics` lends them, aligned as was checked, with every bit pattern
        // a value; the caller answers for the mix of sizes.
        Ok(unsafe { elements.as_ref() })
    }

    /// Copies out of shared memory.
    pub(super) fn load_shared(&self, attempted: &'static str, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        let _counted = self.counted();
        let from = self.atomics_in(attempted, offset, into.len())?;
        // SAFETY: I-BORROW: mapped while this handle lives, and nobody's slice; `into` is a slice of somebody else.
        unsafe { load_bytes(from.as_ptr().cast(), into) };
        Ok(())
    }

    /// Copies into shared memory.
    pub(super) fn store_shared(&self, attempted: &'static str, offset: usize, from: &[u8]) -> Result<(), Error> {
        let _counted = self.counted();
        let into = self.atomics_in(attempted, offset, from.len())?;
        // SAFETY: I-BORROW: mapped while this handle lives, writable, and nobody's slice; `from` is a slice elsewhere.
        unsafe { store_bytes(into.as_ptr().cast_mut().cast(), from) };
        Ok(())
    }

    /// A reference that keeps manual memory from being freed: this one may be that of its handles
    /// (`ManualHandle`), which does not.
    fn counted(&self) -> Option<RawStore> {
        self.kind().is_manual().then(|| self.raw().clone())
    }

    /// A range of shared memory, by the length that it has at one moment.
    fn atomics_in(&self, attempted: &'static str, offset: usize, byte_length: usize) -> Result<&[AtomicU8], Error> {
        self.check_not_freed(attempted)?;
        let range = offset.checked_add(byte_length).and_then(|end| self.atomics().get(offset..end));
        range.ok_or_else(|| self.out_of_range(offset, byte_length))
    }
}
