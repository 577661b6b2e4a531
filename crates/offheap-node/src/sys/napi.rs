//! The few raw calls of Node-API that this crate needs, as small functions.

use std::ffi::{CStr, c_void};
use std::ptr::{NonNull, null_mut};

use napi::Env;
use napi::bindgen_prelude::{JsValue, Unknown};
use napi_sys::{
    Status, TypedarrayType, ValueType, napi_create_external_arraybuffer, napi_detach_arraybuffer,
    napi_get_and_clear_last_exception, napi_get_global, napi_get_named_property, napi_get_typedarray_info,
    napi_instanceof, napi_status, napi_typedarray_type, napi_typeof, napi_value,
};
use offheap_engine::Element;

use super::Handle;
use crate::{Error, engine};

/// The environment of a value.
pub(crate) fn env_of(value: &Unknown<'_>) -> Env {
    Env::from_raw(value.value().env)
}

/// A value with its environment.
///
/// # Safety
/// It is a value of this environment, in the innermost handle scope.
#[inline]
pub(crate) unsafe fn unknown<'env>(env: &'env Env, value: napi_value) -> Unknown<'env> {
    // SAFETY: I-LAYOUT: the caller's promise.
    unsafe { Unknown::from_raw_unchecked(env.raw(), value) }
}

/// The type of a value in script's words (`typeof`).
pub(crate) fn type_of(value: &Unknown<'_>) -> &'static str {
    let mut found = ValueType::napi_undefined;
    // SAFETY: I-LAYOUT: a live value of its environment.
    unsafe { napi_typeof(value.value().env, value.raw(), &mut found) };
    match found {
        ValueType::napi_null => "null",
        ValueType::napi_boolean => "boolean",
        ValueType::napi_number => "number",
        ValueType::napi_string => "string",
        ValueType::napi_symbol => "symbol",
        ValueType::napi_object => "object",
        ValueType::napi_function => "function",
        ValueType::napi_bigint => "bigint",
        ValueType::napi_external => "external",
        _ => "undefined",
    }
}

/// The type of the elements of a view; `None` for a DataView.
pub(crate) fn element(env: &Env, view: Handle<'_>) -> Option<Element> {
    element_of(env, view.raw())
}

/// The type of the elements of a typed array; `None` for another value.
pub(super) fn element_of(env: &Env, view: napi_value) -> Option<Element> {
    /// No type of Node-API has this number.
    const UNKNOWN: napi_typedarray_type = -1;
    let mut found = UNKNOWN;
    // SAFETY: I-LAYOUT: a live value of this environment. Nothing is written to a null address.
    let status = unsafe {
        napi_get_typedarray_info(env.raw(), view, &mut found, null_mut(), null_mut(), null_mut(), null_mut())
    };
    if status != 0 {
        return None;
    }
    Some(match found {
        TypedarrayType::int8_array => Element::Int8,
        TypedarrayType::uint8_array => Element::Uint8,
        TypedarrayType::uint8_clamped_array => Element::Uint8Clamped,
        TypedarrayType::int16_array => Element::Int16,
        TypedarrayType::uint16_array => Element::Uint16,
        TypedarrayType::int32_array => Element::Int32,
        TypedarrayType::uint32_array => Element::Uint32,
        TypedarrayType::float32_array => Element::Float32,
        TypedarrayType::float64_array => Element::Float64,
        TypedarrayType::bigint64_array => Element::BigInt64,
        TypedarrayType::biguint64_array => Element::BigUint64,
        // The one that hosts learned last. Older ones do not tell.
        _ => Element::Float16,
    })
}

/// An ArrayBuffer over memory that stays for ever. `None` if the host refuses.
pub(crate) fn external_array_buffer<'env>(
    env: &'env Env,
    memory: NonNull<c_void>,
    byte_length: usize,
) -> Option<Unknown<'env>> {
    let mut buffer = null_mut();
    // SAFETY: I-MAPPED: the memory stays, and there is no finalizer.
    let status = unsafe {
        napi_create_external_arraybuffer(env.raw(), memory.as_ptr(), byte_length, None, null_mut(), &mut buffer)
    };
    if status != 0 {
        return None;
    }
    // SAFETY: I-LAYOUT: a new value of this environment, in the innermost handle scope.
    Some(unsafe { unknown(env, buffer) })
}

/// Detaches an ArrayBuffer, if it can be detached.
pub(crate) fn detach(buffer: &Unknown<'_>) {
    // SAFETY: I-LAYOUT: a live value of its environment.
    unsafe { napi_detach_arraybuffer(buffer.value().env, buffer.raw()) };
}

/// `napi_cannot_run_js`, which `napi-sys` does not know.
const CANNOT_RUN_JS: napi_status = 23;

/// Whether a host that returned this status did nothing before.
pub(super) fn is_refused_at_once(status: napi_status) -> bool {
    [Status::napi_invalid_arg, Status::napi_pending_exception, Status::napi_no_external_buffers_allowed, CANNOT_RUN_JS]
        .contains(&status)
}

/// An error unless the status says that a call succeeded.
pub(super) fn ok(attempted: &'static str, status: napi_status) -> Result<(), Error> {
    match status {
        Status::napi_ok => Ok(()),
        status => Err(failed(attempted, status)),
    }
}

/// The error for the status of a call that failed.
pub(super) fn failed(attempted: &'static str, status: napi_status) -> Error {
    let instead = match status {
        Status::napi_pending_exception | CANNOT_RUN_JS => {
            "an exception is pending, or the environment is ending: return to script first"
        }
        Status::napi_no_external_buffers_allowed => "it forbids that: use `expose_or_copy`",
        _ => return Error::EngineFailed { engine: engine(), attempted },
    };
    Error::Unsupported { engine: engine(), what: attempted, instead }
}

/// Forgets the exception of a call that failed with this status, unless the exception was pending before.
pub(super) fn clear_exception(env: &Env, status: napi_status) {
    if !is_refused_at_once(status) {
        // SAFETY: I-ENV: a live environment of this thread. It does nothing if no exception is pending.
        unsafe { napi_get_and_clear_last_exception(env.raw(), &mut null_mut()) };
    }
}

/// Whether this is the first thread of the process, which runs the script of Bun that is in no worker.
pub(crate) fn is_main_thread() -> bool {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: I-LAYOUT: it takes nothing, and has no conditions.
        let thread = unsafe { libc::gettid() };
        // SAFETY: I-LAYOUT: as above.
        thread == unsafe { libc::getpid() }
    }
    #[cfg(target_vendor = "apple")]
    {
        // SAFETY: I-LAYOUT: it takes nothing, and has no conditions.
        unsafe { libc::pthread_main_np() != 0 }
    }
    #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
    {
        false
    }
}

/// A property of script's global object.
pub(super) fn global(env: &Env, name: &CStr) -> Result<napi_value, Error> {
    let attempted = "read a property of script's global object";
    let (mut global, mut value) = (null_mut(), null_mut());
    // SAFETY: I-ENV: a live environment of this thread.
    ok(attempted, unsafe { napi_get_global(env.raw(), &mut global) })?;
    // SAFETY: I-ENV: as above, with a live value and a text that ends with 0.
    let status = unsafe { napi_get_named_property(env.raw(), global, name.as_ptr(), &mut value) };
    if status != Status::napi_ok {
        clear_exception(env, status);
        return Err(failed(attempted, status));
    }
    Ok(value)
}

/// Whether script's `instanceof` says that the value is an instance of this class. Script may have replaced it.
pub(super) fn is_instance_of(env: &Env, value: napi_value, class: &CStr) -> bool {
    let Ok(class) = global(env, class) else { return false };
    let mut is_instance = false;
    // SAFETY: I-ENV: a live environment of this thread, and live values.
    let status = unsafe { napi_instanceof(env.raw(), value, class, &mut is_instance) };
    if status != Status::napi_ok {
        clear_exception(env, status);
    }
    is_instance && status == Status::napi_ok
}
