//! Whether a view lies in its buffer.

use std::ptr::{null, null_mut};

use napi::Env;
use napi_sys::{
    Status, napi_call_function, napi_get_and_clear_last_exception, napi_get_named_property, napi_is_exception_pending,
    napi_value,
};

use crate::{Error, engine};

/// Refuses a view without bytes if it is out of bounds. No host tells that: its length is 0, as that of an
/// empty view is. So script is asked for a property that throws then, by ECMAScript (IsTypedArrayOutOfBounds, IsViewOutOfBounds).
/// Script may have replaced it; then a view without bytes comes in, or is refused. The buffer is attached and not shared.
///
/// # Errors
/// [`Error::OutOfBounds`].
#[cold]
pub(crate) fn check_in_bounds(env: &Env, view: napi_value, is_data_view: bool) -> Result<(), Error> {
    // The exception of somebody else is not ours to clear.
    if is_pending(env) {
        return Ok(());
    }
    let (raw, mut value) = (env.raw(), null_mut());
    let name = if is_data_view { c"byteLength" } else { c"keys" };
    // SAFETY: I-ENV: a live environment of this thread, a live value of it, and a text that ends with 0.
    let status = unsafe { napi_get_named_property(raw, view, name.as_ptr(), &mut value) };
    if status == Status::napi_ok && !is_data_view {
        // SAFETY: I-ENV: as above. The host checks whether the value is a function.
        unsafe { napi_call_function(raw, view, value, 0, null(), &mut null_mut()) };
    }
    if !is_pending(env) {
        return Ok(());
    }
    // SAFETY: I-ENV: a live environment of this thread.
    unsafe { napi_get_and_clear_last_exception(raw, &mut null_mut()) };
    Err(Error::OutOfBounds { engine: engine(), attempted: "externalize" })
}

fn is_pending(env: &Env) -> bool {
    let mut is_pending = false;
    // SAFETY: I-ENV: a live environment of this thread. It runs no script.
    unsafe { napi_is_exception_pending(env.raw(), &mut is_pending) };
    is_pending
}
