//! What addons do with plain Node-API, to compare with.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::LazyLock;

use napi::bindgen_prelude::{FromNapiValue, JsValue, Unknown};
use napi::{Env, Error, Result, Status, sys};

use super::allocated::Allocated;

fn check(status: sys::napi_status) -> Result<()> {
    match Status::from(status) {
        Status::Ok => Ok(()),
        status => Err(Error::new(status, "Node-API refused")),
    }
}

/// The finalizer of [`external`]: the hint is the length.
unsafe extern "C" fn free(_: sys::napi_env, data: *mut c_void, hint: *mut c_void) {
    let data = NonNull::new(data.cast()).expect("the address of a block");
    // SAFETY: I-FREE-ONCE: the block of `external`, which is finalized once.
    drop(unsafe { Allocated::from_raw(NonNull::slice_from_raw_parts(data, hint.addr())) });
}

/// An external ArrayBuffer.
pub(crate) fn external(env: &Env, block: Allocated) -> Result<Unknown<'_>> {
    let block = block.into_raw();
    let (hint, mut buffer) = (ptr::without_provenance_mut(block.len()), ptr::null_mut());
    // SAFETY: I-FREE-ONCE: Node gets the block, and gives it back once.
    check(unsafe {
        sys::napi_create_external_arraybuffer(
            env.raw(),
            block.as_ptr().cast(),
            block.len(),
            Some(free),
            hint,
            &mut buffer,
        )
    })?;
    // SAFETY: I-LAYOUT: Node made this value.
    unsafe { Unknown::from_napi_value(env.raw(), buffer) }
}

/// A `Buffer` with a copy of these many bytes, at most 1 MiB.
pub(crate) fn copy(env: &Env, byte_length: usize) -> Result<Unknown<'_>> {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| vec![1; 1 << 20]);
    let (bytes, mut buffer) = (&BYTES[..byte_length], ptr::null_mut());
    // SAFETY: I-LAYOUT: the bytes are read during the call.
    check(unsafe {
        sys::napi_create_buffer_copy(env.raw(), bytes.len(), bytes.as_ptr().cast(), ptr::null_mut(), &mut buffer)
    })?;
    // SAFETY: I-LAYOUT: Node made this value.
    unsafe { Unknown::from_napi_value(env.raw(), buffer) }
}

/// A strong reference, and where the bytes were.
pub(crate) struct Reference {
    reference: sys::napi_ref,
    _data: *mut c_void,
    _byte_length: usize,
}

impl Reference {
    pub(crate) fn new(value: &Unknown<'_>) -> Result<Self> {
        let (env, raw) = (value.value().env, value.raw());
        let (mut reference, mut data, mut byte_length) = (ptr::null_mut(), ptr::null_mut(), 0);
        // SAFETY: I-LAYOUT: a live value.
        check(unsafe { sys::napi_create_reference(env, raw, 1, &mut reference) })?;
        // SAFETY: I-LAYOUT: a live value.
        check(unsafe { sys::napi_get_arraybuffer_info(env, raw, &mut data, &mut byte_length) })?;
        Ok(Reference { reference, _data: data, _byte_length: byte_length })
    }

    pub(crate) fn delete(self, env: &Env) -> Result<()> {
        // SAFETY: I-FREE-ONCE: `new` made it, and this takes it.
        check(unsafe { sys::napi_delete_reference(env.raw(), self.reference) })
    }
}
