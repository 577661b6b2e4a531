//! The few raw calls of Node-API that this crate needs, as small functions.

use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};

use napi::Env;
use napi::bindgen_prelude::{JsValue, Unknown};
use napi_sys::{
    TypedarrayType, ValueType, napi_create_external_arraybuffer, napi_detach_arraybuffer, napi_get_typedarray_info,
    napi_typedarray_type, napi_typeof, napi_value,
};
use offheap_engine::Element;

use super::Handle;

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
    /// No type of Node-API has this number.
    const UNKNOWN: napi_typedarray_type = -1;
    let mut found = UNKNOWN;
    // SAFETY: I-LAYOUT: a live value of this environment. Nothing is written to a null address.
    let status = unsafe {
        napi_get_typedarray_info(env.raw(), view.raw(), &mut found, null_mut(), null_mut(), null_mut(), null_mut())
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
