//! The bytes of a buffer for the length of a call, without a store. In every mode.

use std::ptr::NonNull;
use std::slice;

use napi::bindgen_prelude::Unknown;

use super::napi::env_of;
use super::script_memory::Object;
use crate::Error;

/// Copies the bytes that a buffer or view shows at this moment. This is cheaper than a store where
/// [`externalize`](crate::externalize) copies too, and the bytes are needed once.
///
/// # Errors
/// [`Error::NotAnArrayBuffer`], [`Error::Detached`], [`Error::OutOfBounds`]; [`Error::Memory`] if there is no memory.
pub fn to_vec(value: &Unknown<'_>) -> Result<Vec<u8>, Error> {
    let env = env_of(value);
    Object::of(&env, value)?.to_vec()
}

/// Lends the bytes that a buffer or view shows to `look`, without a copy.
///
/// # Safety
/// Until `look` returns, nobody writes the bytes, frees them or makes them fewer:
/// - `look` runs no script, detaches no buffer, and calls nothing that does;
/// - no call of the host is pending that writes into the buffer, such as `fs.read`;
/// - if the buffer is a SharedArrayBuffer or of a `WebAssembly.Memory`, no other thread writes it;
/// - no other slice of the bytes lives that may be written.
///
/// # Errors
/// [`Error::NotAnArrayBuffer`], [`Error::Detached`], [`Error::OutOfBounds`]. `look` is not called then.
pub unsafe fn with_bytes<R>(value: &Unknown<'_>, look: impl FnOnce(&[u8]) -> R) -> Result<R, Error> {
    let env = env_of(value);
    let (data, byte_length) = Object::of(&env, value)?.bytes()?;
    // SAFETY: I-BORROW, I-MAPPED: the object shows these bytes at this moment, and the caller promises that this stays so.
    Ok(look(unsafe { slice::from_raw_parts(data.unwrap_or(NonNull::dangling()).as_ptr(), byte_length) }))
}

/// Lends the bytes that a buffer or view shows to `change`, which may write them.
///
/// # Safety
/// As for [`with_bytes`], and nobody reads the bytes until `change` returns.
///
/// # Errors
/// [`Error::NotAnArrayBuffer`], [`Error::Detached`], [`Error::OutOfBounds`]. `change` is not called then.
pub unsafe fn with_bytes_mut<R>(value: &Unknown<'_>, change: impl FnOnce(&mut [u8]) -> R) -> Result<R, Error> {
    let env = env_of(value);
    let (data, byte_length) = Object::of(&env, value)?.bytes()?;
    // SAFETY: I-BORROW, I-MAPPED: the object shows these bytes at this moment, and the caller promises that this stays so.
    Ok(change(unsafe { slice::from_raw_parts_mut(data.unwrap_or(NonNull::dangling()).as_ptr(), byte_length) }))
}
