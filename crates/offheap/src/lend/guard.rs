//! Guards: slices of a store's bytes, for as long as nobody else may write them.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::raw::{Marked, Read, Write};
use crate::{BackingStore, Error, IsolateId, StoreKind};

/// A guard that reads: derefs to `&[u8]`.
///
/// While it lives nobody writes the bytes: writers are refused with [`Error::Busy`], and script cannot run (the guard
/// borrows a scope) or has no buffer over the store. It is not `Send`: a guard that waits somewhere keeps others away.
pub struct Bytes<'a> {
    // Also what keeps the guard from being `Send` and `Sync`.
    marked: Marked<Read>,
    // What stops script, or the handle itself.
    lent: PhantomData<&'a ()>,
}

/// A guard that writes: derefs to `&mut [u8]`.
///
/// While it lives nobody else reads or writes the bytes; see [`Bytes`].
pub struct BytesMut<'a> {
    // Also what keeps the guard from being `Send` and `Sync`.
    marked: Marked<Write>,
    // What stops script, or the handle itself.
    lent: PhantomData<&'a ()>,
}

/// A guard for memory that script on the same thread may read and write meanwhile: derefs to `&[Cell<u8>]`.
///
/// It stays valid whatever script does: its bytes are kept and stay where they are when the buffer is detached,
/// transferred or collected. Other threads are refused with [`Error::Busy`].
pub struct Cells<'a> {
    // Also what keeps the guard from being `Send` and `Sync`.
    marked: Marked<Write>,
    // What stops script, or the handle itself.
    lent: PhantomData<&'a ()>,
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

    pub(super) fn begin_bytes<'a>(&self, scope: Option<IsolateId>) -> Result<Bytes<'a>, Error> {
        const ATTEMPTED: &str = "read";
        self.check_sliceable(ATTEMPTED)?;
        let marked = Marked::new(self.view(), scope).map_err(|denied| self.denied(ATTEMPTED, scope, denied))?;
        Ok(Bytes { marked: marked.ok_or_else(|| self.is_beyond())?, lent: PhantomData })
    }

    fn begin_bytes_mut<'a>(&self, scope: Option<IsolateId>) -> Result<BytesMut<'a>, Error> {
        const ATTEMPTED: &str = "write";
        self.check_sliceable(ATTEMPTED)?;
        self.check_writable(ATTEMPTED)?;
        let marked = Marked::new(self.view(), scope).map_err(|denied| self.denied(ATTEMPTED, scope, denied))?;
        Ok(BytesMut { marked: marked.ok_or_else(|| self.is_beyond())?, lent: PhantomData })
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
    let BytesMut { marked, lent } = store.begin_bytes_mut(Some(isolate))?;
    Ok(Cells { marked, lent })
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: I-BORROW: the mark keeps writers away, and what made the guard keeps script away.
        unsafe { self.marked.bytes().as_ref() }
    }
}

impl Deref for BytesMut<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: I-BORROW: as for `Bytes`.
        unsafe { self.marked.bytes().as_ref() }
    }
}

impl DerefMut for BytesMut<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: I-BORROW: the mark keeps all others away, what made the guard keeps script away, `&mut self` the rest.
        unsafe { self.marked.bytes().as_mut() }
    }
}

impl Deref for Cells<'_> {
    type Target = [Cell<u8>];

    #[inline]
    fn deref(&self) -> &[Cell<u8>] {
        let cells = NonNull::slice_from_raw_parts(self.marked.bytes().cast::<Cell<u8>>(), self.marked.bytes().len());
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
