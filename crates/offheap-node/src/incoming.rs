//! In: the stores of buffers that script passes.

use napi::bindgen_prelude::Unknown;

use crate::mode::{Mode, mode};
use crate::{Error, Exposure, ExternalizedView, copied, external, stores};

/// What came in: the bytes of a buffer or view as a store, and whether the store is the memory or a copy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Incoming {
    /// The bytes that the object shows, with the type of their elements and their offset in the buffer.
    pub view: ExternalizedView,
    /// Whether the store is script's memory itself, or a copy, and the reason.
    pub exposure: Exposure,
}

/// Returns the store of any ArrayBuffer or SharedArrayBuffer, or of the part of it that a typed array, a `Buffer` or a
/// DataView shows. What a view shows is read from the host's own slots, so script cannot replace it. For a view without bytes of
/// memory that is not shared, script is asked whether it is out of bounds, so script may run.
///
/// The store outlives the object and the environment, whatever script does. Each call returns equal stores for the same
/// memory, if [`Incoming::exposure`] says that it is the memory. A copy is taken of memory that script may make shorter, of memory
/// that another addon lent to the host, and of all memory of script's where the host lets nobody keep it.
///
/// # Errors
/// [`Error::NotAnArrayBuffer`]. [`Error::Detached`]. [`Error::OutOfBounds`]. [`Error::Unsupported`] in an owner's drop. [`Error::Memory`] if memory runs
/// out.
#[track_caller]
pub fn externalize(value: &Unknown<'_>) -> Result<Incoming, Error> {
    let env = crate::sys::napi::env_of(value);
    match mode(&env).mode() {
        Mode::Stores => stores::externalize(&env, value),
        Mode::External => external::externalize(&env, value),
        Mode::Copy => copied::externalize(&env, value),
    }
}
