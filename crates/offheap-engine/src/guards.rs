//! UNSAFE: lends the bytes of stores to code that has the isolate. The only calls of the core's `*_in` functions.
#![allow(unsafe_code, reason = "a borrow of the isolate is the proof that guards ask for")]

use std::ptr::NonNull;

use offheap::{BackingStore, Cells, IsolateId, ReadGuard, WriteGuard, adapter};

use crate::host::Host;
use crate::{Error, Rooted, Scope, Window};

/// A borrow of an engine's own context or scope, as a proof that this thread has the isolate. For adapters.
///
/// A [`Scope`] does not implement this trait, because it asks [its host](Host::check_lendable) before it lends
/// bytes:
/// ```compile_fail,E0277
/// use offheap_engine::offheap::{BackingStore, Cells};
/// use offheap_engine::{Error, Host, Scope, cells};
///
/// fn lend<'a, H: Host>(scope: &'a Scope<'_, H>, store: &'a BackingStore) -> Result<Cells<'a>, Error> {
///     cells(scope, store)
/// }
/// ```
///
/// # Safety
/// While the borrow lasts, only its thread runs script of the isolate, and the value stays on that thread.
/// [`isolate`](Self::isolate) is the id of that isolate, which is not a
/// [host](offheap::adapter::IsolateRegistration::host). If the isolate has no buffer over a store, it may instead
/// be an id that no isolate has while the value lives.
pub unsafe trait HasIsolate {
    /// The id of the isolate.
    ///
    /// # Errors
    /// The errors of an adapter that cannot be called now.
    fn isolate(&self) -> Result<IsolateId, Error>;
}

/// Lends the bytes of a store to read. The guard borrows `scope` for as long as it lives.
#[track_caller]
#[inline]
pub(crate) fn bytes<'a, H: Host>(scope: &'a Scope<'_, H>, store: &BackingStore) -> Result<ReadGuard<'a>, Error> {
    // SAFETY: I-BORROW: running script takes `&mut` of the scope, which the guard borrows.
    Ok(unsafe { adapter::bytes_in(store, scope.isolate()) }?)
}

/// Lends the bytes of a store to write. The guard borrows `scope` for as long as it lives.
#[track_caller]
#[inline]
pub(crate) fn bytes_mut<'a, H: Host>(
    scope: &'a mut Scope<'_, H>,
    store: &BackingStore,
) -> Result<WriteGuard<'a>, Error> {
    // SAFETY: I-BORROW: running script takes `&mut` of the scope, which the guard borrows.
    Ok(unsafe { adapter::bytes_mut_in(store, scope.isolate()) }?)
}

/// The bytes of a buffer that a window shows. No script has run since the window was asked for.
fn shown(buffer: NonNull<[u8]>, window: Window) -> NonNull<[u8]> {
    let Window::View { byte_offset, byte_length, .. } = window else { return buffer };
    let end = byte_offset.checked_add(byte_length);
    assert!(end.is_some_and(|end| end <= buffer.len()), "a view that is in bounds lies in its buffer");
    // SAFETY: I-MAPPED: the offset is within the buffer's bytes, as just checked.
    NonNull::slice_from_raw_parts(unsafe { buffer.cast::<u8>().add(byte_offset) }, byte_length)
}

/// Lends the bytes that a window shows of a buffer to read: those that the [host lends](Host::lend) as they are, and others
/// by the result of `store`.
#[track_caller]
#[inline]
pub(crate) fn buffer_bytes<'a, H: Host>(
    scope: &'a Scope<'_, H>,
    buffer: Rooted<'_, H::Root>,
    window: Window,
    store: impl FnOnce() -> Result<BackingStore, Error>,
) -> Result<ReadGuard<'a>, Error> {
    let lent = scope.table.entered_host().lend(buffer)?;
    if let Some(lent) = lent {
        // SAFETY: I-BORROW: only script changes or frees the bytes (`Host`), and running script takes `&mut` of the
        // scope, which the guard borrows. While the lender counts a guard, no handle externalizes the buffer (`Table`).
        // Guards are forgotten only where a scope is borrowed mutably, or is gone.
        return Ok(unsafe { scope.table.lender().bytes(shown(lent, window)) });
    }
    bytes(scope, &store()?)
}

/// Lends the bytes that a window shows of a buffer to write; see [`buffer_bytes`].
#[track_caller]
#[inline]
pub(crate) fn buffer_bytes_mut<'a, H: Host>(
    scope: &'a mut Scope<'_, H>,
    buffer: Rooted<'_, H::Root>,
    window: Window,
    store: impl FnOnce(&Scope<'_, H>) -> Result<BackingStore, Error>,
) -> Result<WriteGuard<'a>, Error> {
    let lent = scope.table.entered_host().lend(buffer)?;
    if let Some(lent) = lent {
        // SAFETY: I-BORROW: as in `buffer_bytes`; the guard borrows the scope mutably, so there is no other guard.
        return Ok(unsafe { scope.table.lender().bytes_mut(shown(lent, window)) });
    }
    let store = store(scope)?;
    bytes_mut(scope, &store)
}

/// Copies `from` into a store.
#[inline]
pub(crate) fn copy_in_scope<H: Host>(
    scope: &mut Scope<'_, H>,
    store: &BackingStore,
    byte_offset: usize,
    from: &[u8],
) -> Result<(), Error> {
    // SAFETY: I-BORROW: a scope stays on the thread of its isolate, and only scopes run its script (`Host`).
    Ok(unsafe { adapter::copy_from_slice_in(store, scope.isolate(), byte_offset, from) }?)
}

/// Lends the bytes of a store as cells: a view that stays valid no matter what script does. For adapters.
///
/// # Errors
/// [`Error::Memory`]: the store is in use, another isolate has it, it is read-only or a mapped file, or it was freed.
#[inline]
pub fn cells<'a, P: HasIsolate + 'a>(proof: P, store: &'a BackingStore) -> Result<Cells<'a>, Error> {
    let isolate = proof.isolate()?;
    // SAFETY: I-BORROW: `proof` shows that this thread has the isolate; the guard borrows it and stays on the thread.
    Ok(unsafe { adapter::cells_in(store, isolate) }?)
}

/// Copies `from` into a store. For adapters.
///
/// # Errors
/// [`Error::Memory`]: the range is not in the store, a guard uses the store, another isolate has it, it is
/// read-only, or it was freed.
#[inline]
pub fn copy_in<P: HasIsolate>(proof: P, store: &BackingStore, byte_offset: usize, from: &[u8]) -> Result<(), Error> {
    let isolate = proof.isolate()?;
    // SAFETY: I-BORROW: `proof` shows that this thread has the isolate, so no other thread runs its script.
    Ok(unsafe { adapter::copy_from_slice_in(store, isolate, byte_offset, from) }?)
}

/// Copies bytes out of a store on the isolate's thread. For adapters, for memory that script may take away.
///
/// # Errors
/// [`Error::Memory`]: the range is not in the store, a guard writes the store, another isolate has it, or it was
/// freed.
pub fn copy_to<P: HasIsolate>(
    proof: P,
    store: &BackingStore,
    byte_offset: usize,
    into: &mut [u8],
) -> Result<(), Error> {
    let isolate = proof.isolate()?;
    // The part has exactly this length, and the guard keeps other code from changing it.
    let part = store.slice(byte_offset..byte_offset.saturating_add(into.len()))?;
    // SAFETY: I-BORROW: `proof` shows that this thread has the isolate, and it runs no script until the copy is done.
    let bytes = unsafe { adapter::bytes_in(&part, isolate) }?;
    into.copy_from_slice(&bytes);
    Ok(())
}
