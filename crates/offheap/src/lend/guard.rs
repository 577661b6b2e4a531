//! Guards, which lend the bytes of a store as slices and keep other users away.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::lender::{Lender, LentGuard};
use crate::raw::{Mark, Marked, Read, Write};
use crate::{BackingStore, Error, IsolateId, StoreKind};

/// A guard for reading, which derefs to `&[u8]`.
///
/// While it lives the bytes are not written: writers are refused with [`Error::Busy`], and script either cannot run, since
/// the guard borrows a scope, or has no buffer over the store. It is not `Send`, since a guard that is stored away would
/// lock out other users.
///
/// Like std's `RwLockReadGuard`, it ends when it is dropped: at the end of its block, or by `drop(guard)`. Keep it for as long
/// as you need the slice, and no longer.
///
/// ```
/// use offheap::{BackingStore, Error, ReadGuard};
///
/// fn sum(store: &BackingStore) -> Result<u32, Error> {
///     let bytes: ReadGuard<'_> = store.bytes()?;
///     Ok(bytes.iter().map(|&byte| u32::from(byte)).sum())
/// }
///
/// let mut store = BackingStore::from_owner(vec![1u8, 2, 3])?;
/// assert_eq!(sum(&store)?, 6);
/// store.bytes_mut()?.fill(0); // the guard in `sum` is gone
/// # Ok::<(), Error>(())
/// ```
pub struct ReadGuard<'a> {
    // Not `Send` and not `Sync`, and neither is the guard.
    bytes: NonNull<[u8]>,
    _keeps: Keeps<Read>,
    // Borrows the scope that stops script, or the handle.
    lent: PhantomData<&'a ()>,
}

/// A guard for writing, which derefs to `&mut [u8]`.
///
/// While it lives no other code reads or writes the bytes. Like std's `RwLockWriteGuard`, it ends when it is dropped; see
/// [`ReadGuard`].
///
/// ```
/// use offheap::{BackingStore, Error};
///
/// let mut store = BackingStore::from_owner(vec![3u8, 1, 2])?;
/// let mut bytes = store.bytes_mut()?;
/// bytes.sort();
/// drop(bytes);
/// assert_eq!(store.to_vec()?, [1, 2, 3]);
/// # Ok::<(), Error>(())
/// ```
pub struct WriteGuard<'a> {
    // Not `Send` and not `Sync`, and neither is the guard.
    bytes: NonNull<[u8]>,
    _keeps: Keeps<Write>,
    // Borrows the scope that stops script, or the handle.
    lent: PhantomData<&'a ()>,
}

/// What keeps other users away from the bytes of a guard, until it is dropped.
#[allow(dead_code, reason = "kept for their drops")]
enum Keeps<M: Mark> {
    /// A mark in the access word of the store.
    Marked(Marked<M>),
    /// A place in the count of guards over an engine's own memory.
    Lent(LentGuard),
}

/// A guard for memory that script on the same thread may read and write at the same time. It derefs to `&[Cell<u8>]`.
///
/// It stays valid whatever script does: when the buffer is detached, transferred or collected, the bytes stay where they
/// are. Other threads are refused with [`Error::Busy`].
pub struct Cells<'a> {
    // Not `Send` and not `Sync`, and neither is the guard.
    marked: Marked<Write>,
    // Borrows the scope that stops script, or the handle.
    lent: PhantomData<&'a ()>,
}

impl BackingStore {
    /// Lends the bytes for reading, while the store is exposed nowhere.
    ///
    /// # Errors
    /// [`Error::Exposed`] while an isolate has the store, [`Error::HostMayWrite`] if a host has or had it, [`Error::Busy`] while
    /// other code writes or shrinks it,
    /// [`Error::MappedSlice`] for a mapped file, [`Error::SharedSlice`] for shared memory, [`Error::Freed`] for manual
    /// memory after its free, [`Error::OutOfRange`] for a part that is [out of bounds](Self::is_out_of_bounds).
    pub fn bytes(&self) -> Result<ReadGuard<'_>, Error> {
        self.begin_bytes(None)
    }

    /// Lends the bytes for writing, while the store is exposed nowhere.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes); [`Error::Busy`] also while other code reads; [`Error::ReadOnly`] for frozen memory.
    pub fn bytes_mut(&mut self) -> Result<WriteGuard<'_>, Error> {
        self.begin_bytes_mut(None)
    }

    pub(super) fn begin_bytes<'a>(&self, scope: Option<IsolateId>) -> Result<ReadGuard<'a>, Error> {
        const ATTEMPTED: &str = "read";
        self.check_sliceable(ATTEMPTED)?;
        let marked = Marked::new(self.view(), scope).map_err(|denied| self.denied(ATTEMPTED, scope, denied))?;
        let marked = marked.ok_or_else(|| self.is_beyond())?;
        Ok(ReadGuard { bytes: marked.bytes(), _keeps: Keeps::Marked(marked), lent: PhantomData })
    }

    pub(super) fn begin_bytes_mut<'a>(&self, scope: Option<IsolateId>) -> Result<WriteGuard<'a>, Error> {
        let marked = self.mark_to_write(scope)?;
        Ok(WriteGuard { bytes: marked.bytes(), _keeps: Keeps::Marked(marked), lent: PhantomData })
    }

    fn mark_to_write(&self, scope: Option<IsolateId>) -> Result<Marked<Write>, Error> {
        const ATTEMPTED: &str = "write";
        self.check_sliceable(ATTEMPTED)?;
        self.check_writable(ATTEMPTED)?;
        let marked = Marked::new(self.view(), scope).map_err(|denied| self.denied(ATTEMPTED, scope, denied))?;
        marked.ok_or_else(|| self.is_beyond())
    }
}

impl Lender {
    /// Lends `bytes` for reading.
    ///
    /// # Safety
    /// The bytes are initialised. During `'a` nobody writes or frees them, and [`forget_guards`](Self::forget_guards) is not
    /// called.
    #[inline]
    pub unsafe fn bytes<'a>(&self, bytes: NonNull<[u8]>) -> ReadGuard<'a> {
        ReadGuard { bytes, _keeps: Keeps::Lent(self.count()), lent: PhantomData }
    }

    /// Lends `bytes` for writing.
    ///
    /// # Safety
    /// The bytes are initialised. During `'a` nobody else reads, writes or frees them, and
    /// [`forget_guards`](Self::forget_guards) is not called.
    #[inline]
    pub unsafe fn bytes_mut<'a>(&self, bytes: NonNull<[u8]>) -> WriteGuard<'a> {
        WriteGuard { bytes, _keeps: Keeps::Lent(self.count()), lent: PhantomData }
    }
}

/// Lends the bytes of `store` for reading, while it is exposed in `isolate` or nowhere.
///
/// # Safety
/// While the guard lives, no script runs in that isolate, and the engine does not write the bytes. In a host, no script of any
/// of its isolates that has the buffer runs, and no call of the host is pending that writes the bytes.
///
/// # Errors
/// Those of [`BackingStore::bytes`], with [`Error::OtherIsolate`] if another isolate has the store. In a host, memory that one had
/// is not refused.
pub unsafe fn bytes_in<'a>(store: &BackingStore, isolate: IsolateId) -> Result<ReadGuard<'a>, Error> {
    store.begin_bytes(Some(isolate))
}

/// Lends the bytes of `store` for writing, while it is exposed in `isolate` or nowhere.
///
/// # Safety
/// While the guard lives, no script runs in that isolate, and the engine does not read or write the bytes. In a host, no script of
/// any of its isolates that has the buffer runs, and no call of the host is pending on the bytes.
///
/// # Errors
/// Those of [`BackingStore::bytes_mut`], with [`Error::OtherIsolate`] if another isolate has the store. In a host, memory that one
/// had is not refused.
pub unsafe fn bytes_mut_in<'a>(store: &BackingStore, isolate: IsolateId) -> Result<WriteGuard<'a>, Error> {
    store.begin_bytes_mut(Some(isolate))
}

/// Lends the bytes of `store` as cells, while it is exposed in `isolate` or nowhere.
///
/// # Safety
/// While the guard lives, script of that isolate runs only on this thread. In a host, the buffer stays in the isolate of this
/// thread, and no call of the host is pending on the bytes: other threads make those.
///
/// # Errors
/// Those of [`bytes_mut_in`], and [`Error::EngineMayShrink`] for an engine's memory that script may shrink.
pub unsafe fn cells_in<'a>(store: &BackingStore, isolate: IsolateId) -> Result<Cells<'a>, Error> {
    if store.kind() == StoreKind::ENGINE_RESIZABLE {
        return Err(Error::EngineMayShrink { store: store.id(), attempted: "lend cells of", isolate });
    }
    Ok(Cells { marked: store.mark_to_write(Some(isolate))?, lent: PhantomData })
}

impl Deref for ReadGuard<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: I-BORROW: what the guard keeps keeps writers away, and the guard's creator keeps script away.
        unsafe { self.bytes.as_ref() }
    }
}

impl Deref for WriteGuard<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: I-BORROW: as for `ReadGuard`.
        unsafe { self.bytes.as_ref() }
    }
}

impl DerefMut for WriteGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: I-BORROW: what the guard keeps keeps other users away, the guard's creator keeps script away, and
        // `&mut self` other borrows.
        unsafe { self.bytes.as_mut() }
    }
}

impl Deref for Cells<'_> {
    type Target = [Cell<u8>];

    #[inline]
    fn deref(&self) -> &[Cell<u8>] {
        let cells = NonNull::slice_from_raw_parts(self.marked.bytes().cast::<Cell<u8>>(), self.marked.bytes().len());
        // SAFETY: I-BORROW: a `Cell<u8>` is a `u8`. Besides this guard, which is not `Send`, only script on this thread
        // writes.
        unsafe { cells.as_ref() }
    }
}

impl AsRef<[u8]> for ReadGuard<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsRef<[u8]> for WriteGuard<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for WriteGuard<'_> {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for ReadGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Debug for WriteGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Debug for Cells<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
