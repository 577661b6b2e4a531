//! Buffers whose memory the host allocates, for copies.

use std::ffi::CStr;
use std::ptr::{NonNull, null_mut};
use std::slice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use napi::Env;
use napi::bindgen_prelude::Unknown;
use napi_sys::{
    Status, napi_create_arraybuffer, napi_create_double, napi_env, napi_new_instance, napi_status, napi_value,
};
use offheap::BackingStore;

use super::external::function;
use super::napi::{clear_exception, failed, global, ok, unknown};
use super::script_memory::view_of_shared;
use crate::Error;

/// From this length on, a copy first tries whether the system has the memory: V8 ends the process if it gets none.
const LARGE: usize = 1 << 20;

/// How many bytes of shared memory are copied at once.
const CHUNK: usize = 16 << 10;

/// Makes an ArrayBuffer of the host with the bytes of `store`.
///
/// # Errors
/// [`Error::Memory`] if there is no memory, and those of [`BackingStore::copy_to_slice`]; those of the host.
pub(crate) fn array_buffer<'env>(env: &'env Env, store: &BackingStore) -> Result<Unknown<'env>, Error> {
    let byte_length = store.byte_length();
    if byte_length >= LARGE {
        let mut tried = Vec::<u8>::new();
        tried.try_reserve_exact(byte_length).map_err(|_| offheap::Error::OutOfMemory { requested: byte_length })?;
    }
    let (mut buffer, mut data) = (null_mut(), null_mut());
    // SAFETY: I-ENV: a live environment of this thread.
    let status = unsafe { napi_create_arraybuffer(env.raw(), byte_length, &mut data, &mut buffer) };
    if status != Status::napi_ok {
        clear_exception(env, status);
        return Err(failed("allocate an ArrayBuffer", status));
    }
    let bytes: &mut [u8] = match NonNull::new(data.cast::<u8>()) {
        // SAFETY: I-BORROW: the host just allocated these bytes. Other threads do not know the buffer, which is in a handle scope of
        // the caller, and no script runs until the bytes are copied.
        Some(data) if byte_length != 0 => unsafe { slice::from_raw_parts_mut(data.as_ptr(), byte_length) },
        _ => &mut [],
    };
    if bytes.len() != byte_length {
        return Err(failed("allocate an ArrayBuffer", Status::napi_generic_failure));
    }
    store.copy_to_slice(0, bytes)?;
    // SAFETY: I-ENV: the host just made it in this environment.
    Ok(unsafe { unknown(env, buffer) })
}

/// Makes a SharedArrayBuffer of the host with the bytes of `store`.
///
/// # Errors
/// Those of [`BackingStore::copy_to_slice`] and of the host.
pub(crate) fn shared_copy<'env>(env: &'env Env, store: &BackingStore) -> Result<Unknown<'env>, Error> {
    let byte_length = store.byte_length();
    let (buffer, data) = new_shared(env, byte_length)?;
    let mut chunk = [0; CHUNK];
    for start in (0..byte_length).step_by(CHUNK) {
        let chunk = &mut chunk[..CHUNK.min(byte_length - start)];
        store.copy_to_slice(start, chunk)?;
        for (index, byte) in chunk.iter().enumerate() {
            // SAFETY: I-MAPPED: shared memory never shrinks, and the index is less than its length.
            let at = unsafe { data.add(start + index) };
            // SAFETY: I-BORROW: shared memory is written through atomics: script may have replaced the constructor, and
            // may know this memory.
            unsafe { AtomicU8::from_ptr(at.as_ptr()) }.store(*byte, Ordering::Relaxed);
        }
    }
    // SAFETY: I-ENV: a value of this environment.
    Ok(unsafe { unknown(env, buffer) })
}

type CreateShared = unsafe extern "C" fn(napi_env, usize, *mut *mut std::ffi::c_void, *mut napi_value) -> napi_status;

fn create_shared() -> Option<CreateShared> {
    static FOUND: OnceLock<Option<CreateShared>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let found = function(c"node_api_create_sharedarraybuffer")?;
        // SAFETY: I-LAYOUT: Node-API declares it this way, since Node 22.
        Some(unsafe { std::mem::transmute::<NonNull<std::ffi::c_void>, CreateShared>(found) })
    })
}

/// A SharedArrayBuffer of the host, and the address of its bytes.
fn new_shared(env: &Env, byte_length: usize) -> Result<(napi_value, NonNull<u8>), Error> {
    let attempted = "allocate a SharedArrayBuffer";
    let Some(create) = create_shared() else {
        let mut length = null_mut();
        // SAFETY: I-ENV: a live environment of this thread.
        ok(attempted, unsafe { napi_create_double(env.raw(), byte_length as f64, &mut length) })?;
        let buffer = construct(env, c"SharedArrayBuffer", length)?;
        let view = view_of_shared(env, buffer)?.filter(|view| view.byte_length == byte_length);
        let view = view.ok_or_else(|| failed(attempted, Status::napi_generic_failure))?;
        return Ok((buffer, view.data.unwrap_or(NonNull::dangling())));
    };
    let (mut buffer, mut data) = (null_mut(), null_mut());
    // SAFETY: I-ENV: a live environment of this thread.
    let status = unsafe { create(env.raw(), byte_length, &mut data, &mut buffer) };
    if status != Status::napi_ok || (data.is_null() && byte_length != 0) {
        clear_exception(env, status);
        return Err(failed(attempted, status));
    }
    Ok((buffer, NonNull::new(data.cast()).unwrap_or(NonNull::dangling())))
}

/// Calls a constructor of script's global object with one argument. Script may have replaced it, so anything may come out.
///
/// # Errors
/// Those of the host. The exception of a constructor is not kept.
pub(super) fn construct(env: &Env, name: &CStr, argument: napi_value) -> Result<napi_value, Error> {
    let attempted = "call a constructor of script";
    let (constructor, mut made) = (global(env, name)?, null_mut());
    // SAFETY: I-ENV: a live environment of this thread, and live values.
    let status = unsafe { napi_new_instance(env.raw(), constructor, 1, &argument, &mut made) };
    if status != Status::napi_ok {
        clear_exception(env, status);
        return Err(failed(attempted, status));
    }
    Ok(made)
}
