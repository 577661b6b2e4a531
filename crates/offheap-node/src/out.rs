//! Out: buffers of script over stores.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap::BackingStore;

use crate::mode::{Mode, mode};
use crate::{Error, Exposure, copied, external, stores};

/// Makes an ArrayBuffer over the bytes of `store`, or a SharedArrayBuffer if the store is shared, without a copy.
///
/// # Errors
/// An error if the memory cannot be script's: [`expose_or_copy`] makes a copy in these cases.
pub fn expose<'env>(env: &'env Env, store: &BackingStore) -> Result<Unknown<'env>, Error> {
    match mode(env).mode() {
        Mode::Stores => stores::expose(env, store),
        Mode::External => external::expose(env, store),
        Mode::Copy => copied::expose(env, store),
    }
}

/// Makes a buffer as [`expose`] does, or else one over a copy of the bytes. The [`Exposure`] says which.
///
/// # Errors
/// Those that a copy does not help: a store that was freed, and a store that has a live buffer already.
pub fn expose_or_copy<'env>(env: &'env Env, store: &BackingStore) -> Result<(Unknown<'env>, Exposure), Error> {
    match mode(env).mode() {
        Mode::Stores => stores::expose_or_copy(env, store),
        Mode::External => external::expose_or_copy(env, store),
        Mode::Copy => copied::expose_or_copy(env, store),
    }
}
