//! Checks of a buffer that come before the engine is called, so that every engine gives the same answer. Adapters
//! use them in their own methods too.

use offheap::BackingStore;

use crate::{BufferState, Error};

/// The address of a buffer is a multiple of this number: engines, or at least their `Atomics`, access elements of up to 8 bytes
/// through aligned pointers.
const ALIGNMENT: usize = 8;

/// Whether the bytes of `store` begin where a buffer may begin. For adapters.
#[inline]
pub fn is_aligned(store: &BackingStore) -> bool {
    store.as_ptr().addr().is_multiple_of(ALIGNMENT) || store.byte_length() == 0
}

/// Refuses to make a buffer over `store` unless the store is [aligned](is_aligned). For adapters.
///
/// # Errors
/// [`Error::Misaligned`].
#[inline]
pub fn check_aligned(engine: &'static str, store: &BackingStore) -> Result<(), Error> {
    if is_aligned(store) {
        return Ok(());
    }
    let (store, byte_offset) = (store.id(), store.byte_offset());
    Err(Error::Misaligned { engine, store, byte_offset, alignment: ALIGNMENT })
}

/// Refuses a SharedArrayBuffer: shared memory cannot be taken away from the threads that share it. For adapters.
///
/// # Errors
/// [`Error::NotDetachable`].
pub fn check_unshared(engine: &'static str, attempted: &'static str, shared: bool) -> Result<(), Error> {
    const WHY: &str = "shared memory stays with everyone who shares it; copy the bytes to an ArrayBuffer";
    match shared {
        true => Err(Error::NotDetachable { engine, attempted, why: WHY }),
        false => Ok(()),
    }
}

/// Refuses an immutable buffer. For adapters.
///
/// # Errors
/// [`Error::Immutable`].
pub fn check_mutable(engine: &'static str, attempted: &'static str, immutable: bool) -> Result<(), Error> {
    match immutable {
        true => Err(Error::Immutable { engine, attempted }),
        false => Ok(()),
    }
}

pub(crate) fn check_attached(engine: &'static str, attempted: &'static str, detached: bool) -> Result<(), Error> {
    match detached {
        true => Err(Error::Detached { engine, attempted }),
        false => Ok(()),
    }
}

/// Refuses a buffer that `transfer` does not move: a shared, an immutable or a detached one. For adapters.
///
/// # Errors
/// [`Error::NotDetachable`], [`Error::Immutable`], [`Error::Detached`].
pub fn check_transferable(engine: &'static str, state: &BufferState) -> Result<(), Error> {
    const ATTEMPTED: &str = "transfer";
    check_unshared(engine, ATTEMPTED, state.shared)?;
    check_mutable(engine, ATTEMPTED, state.immutable)?;
    check_attached(engine, ATTEMPTED, state.detached)
}

/// Refuses a new length that `resize` or `grow` cannot give to a resizable buffer.
pub(crate) fn check_new_length(
    engine: &'static str,
    attempted: &'static str,
    state: &BufferState,
    requested: usize,
) -> Result<(), Error> {
    let invalid = |limit| Err(Error::InvalidLength { engine, attempted, requested, limit });
    if state.shared && requested < state.byte_length {
        return invalid(state.byte_length);
    }
    if requested > state.max_byte_length {
        return invalid(state.max_byte_length);
    }
    Ok(())
}
