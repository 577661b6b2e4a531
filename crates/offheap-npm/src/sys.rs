//! The unsafe code of this crate.
#![allow(
    unsafe_code,
    reason = "on Deno, script has the bytes of a mapped file as unshared ones; SAFETY.md says what that needs. The system is asked \
              for the thread"
)]

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap_node::offheap::BackingStore;
use offheap_node::{Error, expose_mapped};

/// A buffer over a mapped file or a part of it.
pub(crate) fn expose_file<'env>(env: &'env Env, store: &BackingStore) -> Result<Unknown<'env>, Error> {
    // SAFETY: I-BORROW: on Deno the program has promised it ("What is assumed of a program"), since there is no other way to map a
    // file. `mapFile` makes the first buffer of a map, and `again` another one when no other reference is left.
    unsafe { expose_mapped(env, store) }
}

/// Whether this is the first thread of the process.
pub(crate) fn is_main_thread() -> bool {
    // SAFETY: I-LAYOUT: it takes nothing, and has no conditions.
    let thread = unsafe { libc::gettid() };
    // SAFETY: I-LAYOUT: as above.
    thread == unsafe { libc::getpid() }
}
