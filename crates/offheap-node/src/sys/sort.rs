//! The sorts of objects that script passes, and the views that script gets.

use std::ffi::CString;
use std::fmt;
use std::ptr::null_mut;

use napi::Env;
use napi::bindgen_prelude::{JsValue, Unknown};
use napi_sys::{
    Status, TypedarrayType, napi_call_function, napi_create_typedarray, napi_env, napi_get_named_property,
    napi_is_arraybuffer, napi_is_dataview, napi_is_typedarray, napi_status, napi_typedarray_type, napi_value,
};
use offheap_engine::Element;

use super::host_memory::construct;
use super::napi::{clear_exception, element_of, env_of, failed, global, ok, type_of, unknown};
use crate::{Error, externalize};

/// What a value is, as far as the [types](crate::types) distinguish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    ArrayBuffer,
    SharedArrayBuffer,
    /// A typed array, with the type of its elements; or a DataView.
    View(Option<Element>),
    /// Any other value, with its type in script's words.
    Other(&'static str),
}

impl Sort {
    pub(crate) fn of(value: &Unknown<'_>) -> Self {
        let env = env_of(value);
        let is = |ask: unsafe fn(napi_env, napi_value, *mut bool) -> napi_status| {
            let mut answer = false;
            // SAFETY: I-ENV: a live value of its environment.
            let status = unsafe { ask(env.raw(), value.raw(), &mut answer) };
            status == Status::napi_ok && answer
        };
        match type_of(value) {
            "object" if is(napi_is_arraybuffer) => Sort::ArrayBuffer,
            "object" if is(napi_is_typedarray) => Sort::View(element_of(&env, value.raw())),
            "object" if is(napi_is_dataview) => Sort::View(None),
            // Not every host has a function that tells them. `externalize` finds out.
            "object" => match externalize(value) {
                Err(Error::NotAnArrayBuffer { .. }) => Sort::Other("object"),
                _ => Sort::SharedArrayBuffer,
            },
            other => Sort::Other(other),
        }
    }
}

impl fmt::Display for Sort {
    /// For messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sort::ArrayBuffer => f.write_str("an ArrayBuffer"),
            Sort::SharedArrayBuffer => f.write_str("a SharedArrayBuffer"),
            Sort::View(None) => f.write_str("a DataView"),
            Sort::View(Some(element)) => write!(f, "a {element:?}Array"),
            Sort::Other(other) => write!(f, "a value of the type {other}"),
        }
    }
}

/// A typed array over the first elements of a buffer, which has them.
///
/// # Errors
/// Those of the host.
pub(crate) fn typed_array<'env>(
    env: &'env Env,
    element: Element,
    buffer: &Unknown<'_>,
    element_count: usize,
) -> Result<Unknown<'env>, Error> {
    let mut array = null_mut();
    // SAFETY: I-ENV: a live environment of this thread, and a live value of it.
    let status =
        unsafe { napi_create_typedarray(env.raw(), code_of(element), element_count, buffer.raw(), 0, &mut array) };
    if status != Status::napi_ok {
        clear_exception(env, status);
        // Some hosts make none of a SharedArrayBuffer.
        let name = CString::new(format!("{element:?}Array")).expect("a name has no NUL");
        array = construct(env, &name, buffer.raw())?;
    }
    // SAFETY: I-ENV: a value of this environment.
    Ok(unsafe { unknown(env, array) })
}

/// A `Buffer` of all bytes of a buffer: `Buffer.from(buffer)`.
///
/// # Errors
/// Those of the host.
pub(crate) fn node_buffer<'env>(env: &'env Env, buffer: &Unknown<'_>) -> Result<Unknown<'env>, Error> {
    let attempted = "make a Buffer";
    let class = global(env, c"Buffer")?;
    let (mut from, mut made) = (null_mut(), null_mut());
    // SAFETY: I-ENV: a live environment of this thread, and live values of it.
    ok(attempted, unsafe { napi_get_named_property(env.raw(), class, c"from".as_ptr(), &mut from) })?;
    // SAFETY: I-ENV: the same.
    let status = unsafe { napi_call_function(env.raw(), class, from, 1, &buffer.raw(), &mut made) };
    if status != Status::napi_ok {
        clear_exception(env, status);
        return Err(failed(attempted, status));
    }
    // SAFETY: I-ENV: a value of this environment.
    Ok(unsafe { unknown(env, made) })
}

fn code_of(element: Element) -> napi_typedarray_type {
    match element {
        Element::Int8 => TypedarrayType::int8_array,
        Element::Uint8 => TypedarrayType::uint8_array,
        Element::Uint8Clamped => TypedarrayType::uint8_clamped_array,
        Element::Int16 => TypedarrayType::int16_array,
        Element::Uint16 => TypedarrayType::uint16_array,
        Element::Int32 => TypedarrayType::int32_array,
        Element::Uint32 => TypedarrayType::uint32_array,
        // Node-API's header has it; the bindings do not.
        Element::Float16 => 11,
        Element::Float32 => TypedarrayType::float32_array,
        Element::Float64 => TypedarrayType::float64_array,
        Element::BigInt64 => TypedarrayType::bigint64_array,
        Element::BigUint64 => TypedarrayType::biguint64_array,
    }
}
