//! Out: buffers of script over stores.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap::BackingStore;

use crate::mode::{Mode, mode};
use crate::{Error, Exposure, copied, external, stores};

/// Makes an ArrayBuffer over the bytes of `store`, or a SharedArrayBuffer if the store is shared, without a copy.
///
/// The memory lives as long as script or Rust has it: across `transfer`, `postMessage`, and the end of the environment. The
/// owner is dropped once, on the thread that drops the last reference.
///
/// # Errors
/// [`Error::Unsupported`] for read-only memory and for resizable memory of Rust, of which [`expose_or_copy`] makes a copy, where the
/// host forbids external memory, and in an owner's drop. [`Error::Memory`] with
/// [`OneBuffer`](offheap::Error::OneBuffer) if script has a buffer over this unshared store, in any environment: give script that
/// buffer, or a copy; also if a guard uses the store, if an isolate of another engine has it, or if it was freed.
/// [`Error::Misaligned`] if the first byte is not at a multiple of 8. [`Error::AddressTaken`] if another store has the same memory.
/// [`Error::TooLargeForEngine`] beyond 2^53 - 1 bytes. After an error nothing has changed.
pub fn expose<'env>(env: &'env Env, store: &BackingStore) -> Result<Unknown<'env>, Error> {
    match mode(env).mode() {
        Mode::Stores => stores::expose(env, store),
        Mode::External => external::expose(env, store),
        Mode::Copy => copied::expose(env, store),
    }
}

/// Makes a buffer as [`expose`] does, or else one over a copy of the bytes. The [`Exposure`] says which, and why. Later changes to
/// the store are not seen in a copy, nor the other way round.
///
/// # Errors
/// Those of [`expose`], except for the cases in [`CopyReason`](crate::CopyReason).
pub fn expose_or_copy<'env>(env: &'env Env, store: &BackingStore) -> Result<(Unknown<'env>, Exposure), Error> {
    match mode(env).mode() {
        Mode::Stores => stores::expose_or_copy(env, store),
        Mode::External => external::expose_or_copy(env, store),
        Mode::Copy => copied::expose_or_copy(env, store),
    }
}
