//! Guards: slices of a store's bytes, for as long as nobody else may write them.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::{load_bytes, store_bytes};
use crate::access::Denied;
use crate::{BackingStore, Error, IsolateId, StoreKind};

/// A guard that reads: derefs to `&[u8]`.
///
/// While it lives nobody writes the bytes: writers are refused with [`Error::Busy`], and script cannot run (the guard
/// borrows a scope) or has no buffer over the store. It is not `Send`: a guard that waits somewhere keeps others away.
pub struct Bytes<'a> {
    marked: Marked<'a, Read>,
}

/// A guard that writes: derefs to `&mut [u8]`.
///
/// While it lives nobody else reads or writes the bytes; see [`Bytes`].
pub struct BytesMut<'a> {
    marked: Marked<'a, Write>,
}

/// A guard for memory that script on the same thread may read and write meanwhile: derefs to `&[Cell<u8>]`.
///
/// It stays valid whatever script does: its bytes are kept and stay where they are when the buffer is detached,
/// transferred or collected. Other threads are refused with [`Error::Busy`].
pub struct Cells<'a> {
    marked: Marked<'a, Write>,
}

trait Mark {
    fn end(store: &BackingStore);
}

struct Read;
struct Write;

impl Mark for Read {
    fn end(store: &BackingStore) {
        store.raw().access().end_read();
    }
}

impl Mark for Write {
    fn end(store: &BackingStore) {
        store.raw().access().end_write();
    }
}

/// A mark in the access word, and the bytes that it is for. `'a` is what stops script, or the handle itself.
struct Marked<'a, M: Mark> {
    store: BackingStore,
    // Also what keeps guards from being `Send` and `Sync`.
    bytes: NonNull<[u8]>,
    mark: PhantomData<(M, &'a ())>,
}

impl<'a, M: Mark> Marked<'a, M> {
    /// The mark was set by `begun`, and is this value's to take away.
    fn new(
        store: &BackingStore,
        attempted: &'static str,
        scope: Option<IsolateId>,
        begun: Result<(), Denied>,
    ) -> Result<Self, Error> {
        begun.map_err(|denied| store.denied(attempted, scope, denied))?;
        // From here on the mark ends with this value. What is shorter than the length cannot be taken while it stands.
        let mut marked = Marked { store: store.clone(), bytes: NonNull::from(&mut []), mark: PhantomData };
        marked.bytes = NonNull::slice_from_raw_parts(store.data(), store.present_byte_length()?);
        Ok(marked)
    }
}

impl<M: Mark> Drop for Marked<'_, M> {
    fn drop(&mut self) {
        M::end(&self.store);
    }
}

impl BackingStore {
    /// The bytes, to read, while the store is exposed nowhere.
    ///
    /// # Errors
    /// [`Error::Exposed`] while an isolate has the store, [`Error::Busy`] while somebody writes or shrinks it,
    /// [`Error::MappedSlice`] for a mapped file, [`Error::SharedSlice`] for shared memory, [`Error::Freed`] for manual
    /// memory after its free, [`Error::OutOfRange`] for a part that is [out of bounds](Self::is_out_of_bounds).
    pub fn bytes(&self) -> Result<Bytes<'_>, Error> {
        self.begin_bytes(None)
    }

    /// The bytes, to write, while the store is exposed nowhere.
    ///
    /// # Errors
    /// As for [`bytes`](Self::bytes), [`Error::Busy`] also while somebody reads, [`Error::ReadOnly`] for frozen memory.
    pub fn bytes_mut(&mut self) -> Result<BytesMut<'_>, Error> {
        self.begin_bytes_mut(None)
    }

    fn begin_bytes<'a>(&self, scope: Option<IsolateId>) -> Result<Bytes<'a>, Error> {
        const ATTEMPTED: &str = "read";
        self.check_sliceable(ATTEMPTED)?;
        Ok(Bytes { marked: Marked::new(self, ATTEMPTED, scope, self.raw().access().begin_read(scope))? })
    }

    fn begin_bytes_mut<'a>(&self, scope: Option<IsolateId>) -> Result<BytesMut<'a>, Error> {
        const ATTEMPTED: &str = "write";
        self.check_sliceable(ATTEMPTED)?;
        self.check_writable(ATTEMPTED)?;
        Ok(BytesMut { marked: Marked::new(self, ATTEMPTED, scope, self.raw().access().begin_write(scope))? })
    }

    /// Copies `into.len()` bytes out, from byte `offset` on, from any thread, exposed or not; each byte is some value that
    /// was stored there.
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
    /// memory after its free; [`Error::EngineMayShrink`] for exposed memory that script may take away.
    #[inline]
    pub fn copy_to_slice(&self, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        match self.kind() {
            kind if kind.is_shared() => return self.load_shared("read", offset, into),
            StoreKind::ENGINE_RESIZABLE => return self.copy_unexposed(offset, into),
            _ => {}
        }
        let access = self.raw().access();
        access.begin_copy().map_err(|denied| self.denied("read", None, denied))?;
        let copied = self.check_range(offset, into.len()).map(|()| {
            // SAFETY: I-MAPPED: inside the length that was published last, as just checked.
            let from = unsafe { self.data().add(offset) };
            if self.kind() == StoreKind::FROZEN {
                let from = NonNull::slice_from_raw_parts(from, into.len());
                // SAFETY: I-BORROW: the memory of a living `FrozenOwner`, which nobody writes.
                return into.copy_from_slice(unsafe { from.as_ref() });
            }
            // SAFETY: I-BORROW: mapped while the mark stands, and `into` is a slice of somebody else.
            unsafe { load_bytes(from.as_ptr(), into) };
        });
        access.end_copy();
        copied
    }

    /// Copies bytes out under a guard, which no buffer can come to be beside.
    #[cold]
    fn copy_unexposed(&self, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        let bytes = self.begin_bytes(None).map_err(|error| match error {
            Error::Exposed { store, isolate, .. } => Error::EngineMayShrink { store, attempted: "read", isolate },
            other => other,
        })?;
        self.check_range(offset, into.len())?;
        into.copy_from_slice(&bytes[offset..offset + into.len()]);
        Ok(())
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
        let access = self.raw().access();
        access.begin_write(scope).map_err(|denied| self.denied(ATTEMPTED, scope, denied))?;
        let copied = self.check_range(offset, from.len()).map(|()| {
            // SAFETY: I-MAPPED: inside the length that was published last, as just checked.
            let into = unsafe { self.data().add(offset) };
            // SAFETY: I-BORROW: mapped while the mark stands; the mark and the caller keep other writers away.
            unsafe { store_bytes(into.as_ptr(), from) };
        });
        access.end_write();
        copied
    }
}

/// The bytes of `store`, to read, while it is exposed in `isolate` or nowhere.
///
/// # Safety
/// While the guard lives no script runs in that isolate, and nothing else of that engine writes the bytes.
///
/// # Errors
/// As for [`BackingStore::bytes`], with [`Error::OtherIsolate`] where another isolate has the store.
pub unsafe fn bytes_in<'a>(store: &BackingStore, isolate: IsolateId) -> Result<Bytes<'a>, Error> {
    store.begin_bytes(Some(isolate))
}

/// The bytes of `store`, to write, while it is exposed in `isolate` or nowhere.
///
/// # Safety
/// While the guard lives no script runs in that isolate, and nothing of that engine reads or writes the bytes.
///
/// # Errors
/// As for [`BackingStore::bytes_mut`], with [`Error::OtherIsolate`] where another isolate has the store.
pub unsafe fn bytes_mut_in<'a>(store: &BackingStore, isolate: IsolateId) -> Result<BytesMut<'a>, Error> {
    store.begin_bytes_mut(Some(isolate))
}

/// The bytes of `store` as cells, while it is exposed in `isolate` or nowhere.
///
/// # Safety
/// While the guard lives, script of that isolate runs only on this thread.
///
/// # Errors
/// As for [`bytes_mut_in`], and [`Error::EngineMayShrink`] for memory that script may take away.
pub unsafe fn cells_in<'a>(store: &BackingStore, isolate: IsolateId) -> Result<Cells<'a>, Error> {
    if store.kind() == StoreKind::ENGINE_RESIZABLE {
        return Err(Error::EngineMayShrink { store: store.id(), attempted: "lend cells of", isolate });
    }
    let BytesMut { marked } = store.begin_bytes_mut(Some(isolate))?;
    Ok(Cells { marked })
}

/// Copies bytes into `store`, to byte `offset` and on, while it is exposed in `isolate` or nowhere.
///
/// # Safety
/// During the call no other thread runs script of that isolate.
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

impl Deref for Bytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: I-BORROW: the mark keeps writers away, and what made the guard keeps script away.
        unsafe { self.marked.bytes.as_ref() }
    }
}

impl Deref for BytesMut<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: I-BORROW: as for `Bytes`.
        unsafe { self.marked.bytes.as_ref() }
    }
}

impl DerefMut for BytesMut<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: I-BORROW: the mark keeps all others away, what made the guard keeps script away, `&mut self` the rest.
        unsafe { self.marked.bytes.as_mut() }
    }
}

impl Deref for Cells<'_> {
    type Target = [Cell<u8>];

    #[inline]
    fn deref(&self) -> &[Cell<u8>] {
        let cells = NonNull::slice_from_raw_parts(self.marked.bytes.cast::<Cell<u8>>(), self.marked.bytes.len());
        // SAFETY: I-BORROW: a `Cell<u8>` is a `u8`; only script on this thread writes too, and the guard is not `Send`.
        unsafe { cells.as_ref() }
    }
}

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Debug for BytesMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Debug for Cells<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
