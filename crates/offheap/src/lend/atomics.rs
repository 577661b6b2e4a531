//! Access to shared memory: atomics and copies. It is never lent as a slice.

use std::ptr::NonNull;
// Not through `crate::sync`: these are the bytes themselves, which loom cannot stand in for.
use std::sync::atomic::{AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use crate::raw::{RawStore, load_bytes, store_bytes};
use crate::{BackingStore, Error};

/// An atomic integer of std, as which [`SharedStore::as_atomics_of`](crate::SharedStore) lends shared memory.
pub trait AtomicElement: sealed::Sealed + Sync + 'static {}

mod sealed {
    /// # Safety
    /// Its size is its alignment, and every bit pattern is one of its values.
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

impl BackingStore {
    /// The bytes of shared memory as atomics. Memory of any other kind, which may be lent as a slice, gives none.
    pub(crate) fn atomics(&self) -> &[AtomicU8] {
        if !self.kind().is_shared() {
            return &[];
        }
        // Freed memory has no bytes. Other memory is not freed while this reference lives.
        let byte_length = if self.raw().is_freed() { 0 } else { self.byte_length_in_order() };
        let data = NonNull::slice_from_raw_parts(self.data().cast::<AtomicU8>(), byte_length);
        // SAFETY: I-MAPPED, I-BORROW: shared memory stays mapped up to this length while the handle lives, and is never
        // lent as a slice; an `AtomicU8` is a `u8`.
        unsafe { data.as_ref() }
    }

    /// The bytes of shared memory as larger atomics, if its address and length fit them.
    ///
    /// # Safety
    /// The contract of [`SharedStore::as_atomics_of`](crate::SharedStore::as_atomics_of).
    pub(crate) unsafe fn atomics_of<A: AtomicElement>(&self) -> Result<&[A], Error> {
        let bytes = self.atomics();
        let element_count = self.check_elements::<A>(bytes.len())?;
        let elements = NonNull::slice_from_raw_parts(NonNull::from(bytes).cast::<A>(), element_count);
        // SAFETY: I-BORROW, I-POD: the bytes that `atomics` lends, aligned as was checked; every bit pattern is a value;
        // the caller keeps atomics of other sizes away.
        Ok(unsafe { elements.as_ref() })
    }

    /// Copies out of shared memory.
    pub(super) fn load_shared(&self, attempted: &'static str, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        let _counted = self.counted();
        let from = self.atomics_in(attempted, offset, into.len())?;
        // SAFETY: I-BORROW: mapped while this handle lives, and never lent as a slice; `into` is a slice of other memory.
        unsafe { load_bytes(from.as_ptr().cast(), into) };
        Ok(())
    }

    /// Copies into shared memory.
    pub(super) fn store_shared(&self, attempted: &'static str, offset: usize, from: &[u8]) -> Result<(), Error> {
        let _counted = self.counted();
        let into = self.atomics_in(attempted, offset, from.len())?;
        // SAFETY: I-BORROW: mapped while this handle lives, writable, and never lent as a slice; `from` is a slice of other
        // memory.
        unsafe { store_bytes(into.as_ptr().cast_mut().cast(), from) };
        Ok(())
    }

    /// A reference that keeps manual memory from being freed. This handle may be the shared one of a `ManualHandle`, which
    /// does not.
    pub(super) fn counted(&self) -> Option<RawStore> {
        self.kind().is_manual().then(|| self.raw().clone())
    }

    /// A range of shared memory, checked against the length at one moment.
    pub(super) fn atomics_in(
        &self,
        attempted: &'static str,
        offset: usize,
        byte_length: usize,
    ) -> Result<&[AtomicU8], Error> {
        self.check_not_freed(attempted)?;
        let range = offset.checked_add(byte_length).and_then(|end| self.atomics().get(offset..end));
        range.ok_or_else(|| self.out_of_range(offset, byte_length))
    }
}
