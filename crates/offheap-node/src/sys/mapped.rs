//! Buffers over mapped files.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap::BackingStore;

use crate::mode::{Host, Mode, mode};
use crate::{Error, expose, external};

/// Makes a buffer over a mapped file or a part of it, without a copy: a SharedArrayBuffer, as [`expose`] does. Deno makes none over
/// memory of native code, so there it is an ArrayBuffer. Each call makes one more.
///
/// # Errors
/// Those of [`expose`].
///
/// # Safety
/// On Deno, nobody else writes the bytes while script has the buffer: no other process and no call of the host through the file,
/// also if the map is private, and nobody through another buffer over it. An engine takes the bytes of an ArrayBuffer for its own:
/// V8's `sort`, for example, leaves its bounds if they change under it, which Deno notices and ends the process. There is no
/// condition on other hosts.
pub unsafe fn expose_mapped<'env>(env: &'env Env, store: &BackingStore) -> Result<Unknown<'env>, Error> {
    let (decision, kind) = (mode(env), store.kind());
    match (decision.mode(), decision.host()) {
        // I-BORROW: the caller's promise.
        (Mode::External, Host::Deno) if kind.is_file() && kind.is_shared() => external::unshared_over_file(env, store),
        _ => expose(env, store),
    }
}
