//! Mapped files.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap_node::offheap::Mapped;
use offheap_node::{Error, expose_mapped};

/// A buffer over a mapped file.
pub(crate) fn buffer_over<'env>(env: &'env Env, file: &Mapped) -> Result<Unknown<'env>, Error> {
    // SAFETY: I-BORROW: on Deno no scenario writes the file while script has the buffer.
    unsafe { expose_mapped(env, file.store()) }
}
