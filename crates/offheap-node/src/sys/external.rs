//! Buffers of Node-API over stores, and their finalizers. A finalizer may run on any thread. It runs no script and does not
//! unwind.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use napi::Env;
use napi::bindgen_prelude::Unknown;
use napi_sys::{Status, napi_create_external_arraybuffer, napi_env, napi_status, napi_value};
use offheap::BackingStore;
use offheap::adapter::Hold;
use offheap_engine::memory::Given;

use super::block::TABLE;
use super::napi::{clear_exception, failed, is_main_thread, is_refused_at_once, unknown};
use super::turn::{Environment, runs_script};
use crate::environment::Process;
use crate::{Error, Host};

/// Stores that were leaked because an environment ended under their buffers, and their bytes.
static LEAKED: AtomicUsize = AtomicUsize::new(0);
static LEAKED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// How many stores were leaked, and how many bytes.
pub(crate) fn leaked() -> (usize, usize) {
    (LEAKED.load(Ordering::Relaxed), LEAKED_BYTES.load(Ordering::Relaxed))
}

thread_local! {
    /// The hold of the buffer that this thread is making, until a finalizer got it.
    static MAKING: Cell<*mut c_void> = const { Cell::new(null_mut()) };
}

/// Makes an ArrayBuffer over the bytes of `store`, which is not shared.
///
/// # Errors
/// Those of [`AddressTable::expose`](offheap_engine::memory::AddressTable::expose), and those of the host.
pub(crate) fn array_buffer_over<'env>(
    env: &'env Env,
    host: Host,
    process: &Process,
    store: &BackingStore,
) -> Result<Unknown<'env>, Error> {
    let finalizer = match host {
        Host::Deno => counted,
        Host::Bun => of_main_thread,
        Host::Node => of_environment,
    };
    let Given { data, hold } = TABLE.expose(store, process.registration())?;
    let mut buffer = null_mut();
    let outer = MAKING.replace(hold.as_ptr());
    // SAFETY: I-FREE-ONCE, I-MAPPED: the memory is there while the hold lives, and a finalizer drops the hold once. No
    // finalizer drops it while another thread may have the buffer (I-ENV).
    let status = unsafe {
        napi_create_external_arraybuffer(
            env.raw(),
            data.as_ptr(),
            store.byte_length(),
            Some(finalizer),
            hold.as_ptr(),
            &mut buffer,
        )
    };
    let was_finalized = MAKING.replace(outer).is_null();
    if status == Status::napi_ok {
        // SAFETY: I-ENV: the host just made it in this environment.
        return Ok(unsafe { unknown(env, buffer) });
    }
    if !was_finalized {
        match is_refused_at_once(status) {
            // SAFETY: I-FREE-ONCE: the host did nothing with the hold.
            true => unsafe { TABLE.finalize(data.as_ptr(), hold) },
            // The host may call the finalizer later.
            false => note_leaked(store.byte_length()),
        }
    }
    clear_exception(env, status);
    Err(failed("make an ArrayBuffer over memory of native code", status))
}

fn note_finalized(hold: *mut c_void) {
    // A thread that ends makes no buffer.
    let _ = MAKING.try_with(|making| {
        if making.get() == hold {
            making.set(null_mut());
        }
    });
}

/// Deno's finalizer: V8 drops its last reference, on any thread. No function of Node-API may be called.
unsafe extern "C" fn counted(_env: napi_env, data: *mut c_void, hold: *mut c_void) {
    note_finalized(hold);
    // SAFETY: I-FREE-ONCE: the hold of this buffer, which the host finalizes once.
    unsafe { finish(data, hold, true) };
}

/// Bun's finalizer: the last ArrayBuffer is collected or detached, on its thread, or the main thread's environment ends.
unsafe extern "C" fn of_main_thread(env: napi_env, data: *mut c_void, hold: *mut c_void) {
    note_finalized(hold);
    let is_free = !is_main_thread() || Environment::lives_here(env);
    // SAFETY: I-FREE-ONCE: the hold of this buffer, which the host finalizes once.
    unsafe { finish(data, hold, is_free) };
}

/// Node's finalizer: V8 drops its last reference, or the environment ends, on the environment's thread.
unsafe extern "C" fn of_environment(env: napi_env, data: *mut c_void, hold: *mut c_void) {
    note_finalized(hold);
    let is_free = Environment::lives_here(env) && runs_script(env);
    // SAFETY: I-FREE-ONCE: the hold of this buffer, which the host finalizes once.
    unsafe { finish(data, hold, is_free) };
}

/// Drops the hold of a buffer if the host has none over the memory any more. If it may have one, the store is leaked.
///
/// # Safety
/// It is the hold of a buffer at `data`, and this is called once for it. If `is_free`, no buffer is over the memory.
unsafe fn finish(data: *mut c_void, hold: *mut c_void, is_free: bool) {
    let Some(hold) = NonNull::new(hold) else { return };
    match is_free {
        // SAFETY: I-FREE-ONCE: the caller's promise.
        true => unsafe { TABLE.finalize(data, hold) },
        // SAFETY: I-FREE-ONCE: nobody drops this hold any more.
        false => note_leaked(unsafe { Hold::with_raw(hold, Hold::byte_length) }),
    }
}

/// The memory is left to whoever has a buffer over it.
fn note_leaked(byte_length: usize) {
    LEAKED.fetch_add(1, Ordering::Relaxed);
    LEAKED_BYTES.fetch_add(byte_length, Ordering::Relaxed);
}

/// What the finalizer of a SharedArrayBuffer gets.
struct SharedBuffer {
    hold: NonNull<c_void>,
    byte_length: usize,
    uncounted: Arc<AtomicUsize>,
}

type NoEnvironmentFinalizer = unsafe extern "C" fn(*mut c_void, *mut c_void);
type CreateExternalShared = unsafe extern "C" fn(
    napi_env,
    *mut c_void,
    usize,
    NoEnvironmentFinalizer,
    *mut c_void,
    *mut napi_value,
) -> napi_status;

/// A function of Node-API that `napi-sys` does not know.
pub(crate) fn function(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: I-LAYOUT: it reads the name, and calls nothing.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

fn create_external_shared() -> Option<CreateExternalShared> {
    static FOUND: OnceLock<Option<CreateExternalShared>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let found = function(c"node_api_create_external_sharedarraybuffer")?;
        // SAFETY: I-LAYOUT: Node-API declares it this way, since Node 22.
        Some(unsafe { std::mem::transmute::<NonNull<c_void>, CreateExternalShared>(found) })
    })
}

/// Whether the host makes SharedArrayBuffers over memory of native code.
pub(crate) fn has_external_shared() -> bool {
    create_external_shared().is_some()
}

/// Makes a SharedArrayBuffer over the bytes of `store`, which is shared. `None` if the host makes none.
///
/// # Errors
/// Those of [`AddressTable::expose`](offheap_engine::memory::AddressTable::expose), and those of the host.
pub(crate) fn shared_buffer_over<'env>(
    env: &'env Env,
    environment: &Environment,
    host: Host,
    process: &Process,
    store: &BackingStore,
) -> Result<Option<Unknown<'env>>, Error> {
    let Some(create) = create_external_shared() else { return Ok(None) };
    let Given { data, hold } = TABLE.expose(store, process.registration())?;
    // V8 does not count memory that isolates share.
    let byte_length = if host == Host::Bun { 0 } else { store.byte_length() };
    let uncounted = Arc::clone(environment.uncounted());
    uncounted.fetch_add(byte_length, Ordering::Relaxed);
    let hint = Box::into_raw(Box::new(SharedBuffer { hold, byte_length, uncounted }));
    let mut buffer = null_mut();
    // SAFETY: I-FREE-ONCE, I-MAPPED: the memory is there while the hold lives. Hosts count the references to shared memory,
    // and call the finalizer once, when the last one is dropped.
    let status = unsafe { create(env.raw(), data.as_ptr(), store.byte_length(), shared, hint.cast(), &mut buffer) };
    if status != Status::napi_ok {
        if is_refused_at_once(status) {
            // SAFETY: I-FREE-ONCE: the host did nothing with the hold.
            unsafe { shared(data.as_ptr(), hint.cast()) };
        }
        clear_exception(env, status);
        return Err(failed("make a SharedArrayBuffer over memory of native code", status));
    }
    environment.tell();
    // SAFETY: I-ENV: the host just made it in this environment.
    Ok(Some(unsafe { unknown(env, buffer) }))
}

/// The finalizer of a SharedArrayBuffer: the last reference to its memory is dropped, on any thread.
unsafe extern "C" fn shared(data: *mut c_void, hint: *mut c_void) {
    // SAFETY: I-FREE-ONCE: `shared_buffer_over` made it, and the host finalizes it once.
    let SharedBuffer { hold, byte_length, uncounted } = *unsafe { Box::from_raw(hint.cast::<SharedBuffer>()) };
    uncounted.fetch_sub(byte_length, Ordering::Relaxed);
    // SAFETY: I-FREE-ONCE: the hold of this buffer.
    unsafe { TABLE.finalize(data, hold) };
}
