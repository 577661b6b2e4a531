//! Shared memory as script sees it: through atomics, and by copies. It is never lent as a slice.

use std::ptr::NonNull;
// Not through `crate::sync`: these are the bytes themselves, which loom cannot stand in for.
use std::sync::atomic::{AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use crate::raw::{RawStore, load_bytes, store_bytes};
use crate::{BackingStore, Error};

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
