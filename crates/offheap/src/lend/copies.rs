//! Copies out of stores and into them. They need no slice, and tolerate script that writes at the same time.

use std::ptr::NonNull;

use crate::raw::{Copying, Writing, load_bytes, store_bytes};
use crate::{BackingStore, Error, IsolateId, ReadGuard, StoreKind};

impl BackingStore {
    /// Copies `into.len()` bytes out, starting at byte `offset`. Any thread may do so, also while the store is exposed.
    /// Each byte is a value that was stored there at some time.
    ///
    /// ```
    /// let store = offheap::BackingStore::from(offheap::UniqueStore::from_owner(vec![1u8, 2, 3, 4])?);
    /// let mut two = [0; 2];
    /// store.copy_to_slice(1, &mut two)?;
    /// assert_eq!(two, [2, 3]);
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::Busy`] while a guard writes, never for shared memory; [`Error::Freed`] for manual
    /// memory after its free; [`Error::EngineMayShrink`] for an engine's exposed memory that script may shrink.
    #[inline]
    pub fn copy_to_slice(&self, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        let kind = self.kind();
        if kind.is_shared() {
            return self.load_shared("read", offset, into);
        }
        if kind == StoreKind::ENGINE_RESIZABLE {
            return self.copy_unexposed(offset, into);
        }
        let _copying = Copying::new(self.raw()).map_err(|denied| self.denied("read", None, denied))?;
        self.check_range(offset, into.len())?;
        // SAFETY: I-MAPPED: inside the length that was published last, as just checked.
        let from = unsafe { self.data().add(offset) };
        if kind == StoreKind::FROZEN {
            let from = NonNull::slice_from_raw_parts(from, into.len());
            // SAFETY: I-BORROW: frozen memory, which nobody writes.
            into.copy_from_slice(unsafe { from.as_ref() });
        } else {
            // SAFETY: I-BORROW: mapped while the mark is set, and `into` is a slice of other memory.
            unsafe { load_bytes(from.as_ptr(), into) };
        }
        Ok(())
    }

    /// Copies bytes out under a guard, during which the store cannot be exposed.
    #[cold]
    fn copy_unexposed(&self, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        let bytes = self.bytes_to_copy()?;
        self.check_range(offset, into.len())?;
        into.copy_from_slice(&bytes[offset..offset + into.len()]);
        Ok(())
    }

    /// A guard under which bytes are copied out.
    pub(super) fn bytes_to_copy(&self) -> Result<ReadGuard<'_>, Error> {
        self.bytes().map_err(|error| match error {
            Error::Exposed { store, isolate, .. } => Error::EngineMayShrink { store, attempted: "read", isolate },
            other => other,
        })
    }

    pub(crate) fn copy_from_slice_scope(
        &self,
        scope: Option<IsolateId>,
        offset: usize,
        from: &[u8],
    ) -> Result<(), Error> {
        const ATTEMPTED: &str = "write";
        self.check_writable(ATTEMPTED)?;
        if self.kind().is_shared() {
            return self.store_shared(ATTEMPTED, offset, from);
        }
        let _writing = Writing::new(self.raw(), scope).map_err(|denied| self.denied(ATTEMPTED, scope, denied))?;
        self.check_range(offset, from.len())?;
        // SAFETY: I-MAPPED: inside the length that was published last, as just checked.
        let into = unsafe { self.data().add(offset) };
        // SAFETY: I-BORROW: mapped while the mark is set; the mark and the caller keep other writers away.
        unsafe { store_bytes(into.as_ptr(), from) };
        Ok(())
    }
}

/// Copies bytes into `store`, starting at byte `offset`, while it is exposed in `isolate` or nowhere.
///
/// # Safety
/// During the call no other thread runs script of that isolate. In a host, no script of any of its isolates that has the buffer
/// runs on another thread.
///
/// # Errors
/// [`Error::OutOfRange`], [`Error::Busy`], [`Error::OtherIsolate`], [`Error::ReadOnly`], [`Error::Freed`].
pub unsafe fn copy_from_slice_in(
    store: &BackingStore,
    isolate: IsolateId,
    offset: usize,
    from: &[u8],
) -> Result<(), Error> {
    store.copy_from_slice_scope(Some(isolate), offset, from)
}
