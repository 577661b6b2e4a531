//! Out: buffers of script over stores.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap::{BackingStore, Rejected, UniqueStore};

use crate::mode::{Mode, mode};
use crate::{CopyReason, Error, Exposure, copied, external, stores};

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

/// Gives script a store that nobody else has. The buffer is over its memory; where few bytes are copied faster than memory
/// of Rust is freed, script gets a copy, and the store is dropped ([`CopyReason::Small`](crate::CopyReason::Small)). That is
/// so up to 1 KiB in mode [`Stores`](Mode::Stores), and up to 4 KiB in mode [`External`](Mode::External), except on Deno.
///
/// # Errors
/// The store comes back with the errors of [`expose_or_copy`].
pub fn give<'env>(
    env: &'env Env,
    store: UniqueStore,
) -> Result<(Unknown<'env>, Exposure), Rejected<BackingStore, Error>> {
    let is_small = match mode(env).mode() {
        Mode::Stores => stores::is_small(store.byte_length()),
        Mode::External => external::is_small(env, store.byte_length()),
        Mode::Copy => false,
    };
    let store = BackingStore::from(store);
    let is_small = is_small && !store.kind().is_resizable_by_rust();
    // While an exception is pending, Node-API allocates nothing, but V8 still makes a buffer over the store.
    let copied = is_small.then(|| copied::copy_out(env, &store, CopyReason::Small)).and_then(Result::ok);
    let given = copied.map_or_else(|| expose_or_copy(env, &store), Ok);
    given.map_err(|error| Rejected::new(error, store))
}

/// Makes an ArrayBuffer of `byte_length` bytes, which `fill` writes before script sees them. They are zeros before. This is a
/// new store that is [given away](give).
///
/// # Errors
/// [`Error::Memory`] if there is no memory; those of [`give`].
#[track_caller]
pub fn filled<'env>(env: &'env Env, byte_length: usize, fill: impl FnOnce(&mut [u8])) -> Result<Unknown<'env>, Error> {
    // Not in memory of the host, also where the host has to allocate the buffer: `fill` may run script, and script reaches every
    // buffer of its isolate through the inspector.
    let store = UniqueStore::filled(byte_length, fill)?;
    let (buffer, _) = give(env, store).map_err(|rejected| rejected.into_parts().0)?;
    Ok(buffer)
}
