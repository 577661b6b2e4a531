//! The end of the main thread's heap in Node.
//!
//! A block of V8's own memory is freed by the allocator of the isolate that made it. Workers of Node give their blocks a
//! counted reference to the allocator. The main thread does not: Node frees that allocator after its heap, some milliseconds
//! before the process ends. So from the end of the main environment on, our last references to such blocks are leaked.
//!
//! Only a call on the main thread can watch for that end. Workers end before it. So as long as only workers have called, what other
//! threads let go of waits for the next call of one, or for its end.
//!
//! The first environment of the first thread that calls is taken for the main one. A program that ends it and makes another one there
//! leaks from then on.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use napi::Env;
use napi_sys::napi_add_env_cleanup_hook;

use super::napi::{is_main_thread, ok};
use super::shared_ptr::LastUse;
use super::v8::V8;
use crate::Error;

/// How many blocks are being freed, and [`ENDED`].
static FREES: AtomicUsize = AtomicUsize::new(0);
const ENDED: usize = 1 << (usize::BITS - 1);

/// How long the end waits for frees. One of V8's takes microseconds. What takes longer is code of another addon, which does
/// not use the allocator, and may wait for this thread; or a thread that the system has stopped.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the end of the main thread's heap will be known.
static IS_WATCHED: AtomicBool = AtomicBool::new(false);

/// What waits for a thread of the host. [`ARE_WAITING`] says whether there is anything, or was just now.
static WAITING: Mutex<Vec<LastUse>> = Mutex::new(Vec::new());
static ARE_WAITING: AtomicBool = AtomicBool::new(false);

/// Frees a block, unless the main thread's heap has ended or is about to.
pub(super) fn free(block: LastUse) {
    if !IS_WATCHED.load(Ordering::Acquire) && !is_in_host() {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        // Without memory for it, the block is leaked.
        if waiting.try_reserve(1).is_ok() {
            waiting.push(block);
            ARE_WAITING.store(true, Ordering::Release);
        }
        return;
    }
    if FREES.fetch_add(1, Ordering::AcqRel) & ENDED == 0 {
        block.end();
    }
    FREES.fetch_sub(1, Ordering::Release);
}

/// Whether this thread has entered an isolate, or V8 collects one on it. The main thread's heap has not ended then, since its own
/// threads and its workers end before it. Before V8's functions are in use, only the deciding thread has blocks, and it is such a one.
fn is_in_host() -> bool {
    V8::in_use().map_or(true, |v8| v8.isolate().is_some())
}

/// Frees what waits for a thread of the host. It waits on if this is none.
#[inline]
pub(crate) fn free_waiting() {
    if ARE_WAITING.load(Ordering::Relaxed) {
        free_waiting_now();
    }
}

#[cold]
fn free_waiting_now() {
    ARE_WAITING.store(false, Ordering::Relaxed);
    let waiting = std::mem::take(&mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner));
    waiting.into_iter().for_each(free);
}

/// Watches for the end of the main thread's heap, if this is an environment of the main thread. If it is one of a worker, and the main
/// thread is not watched, what waits is freed when this worker ends.
///
/// # Errors
/// Those of the host.
#[inline]
pub(crate) fn watch(env: &Env) -> Result<(), Error> {
    if IS_WATCHED.load(Ordering::Relaxed) { Ok(()) } else { watch_now(env) }
}

#[cold]
fn watch_now(env: &Env) -> Result<(), Error> {
    // Whether this is the thread of a worker that has its hook.
    thread_local!(static IS_HOOKED: Cell<bool> = const { Cell::new(false) });
    let attempted = "watch the end";
    // Outside of the host's calls it has no environment to add a hook to.
    if IS_HOOKED.get() || !is_in_host() {
        return Ok(());
    }
    if is_main_thread() {
        // SAFETY: I-ENV: an environment of this thread. The hook uses no environment.
        ok(attempted, unsafe { napi_add_env_cleanup_hook(env.raw(), Some(ends), null_mut()) })?;
        IS_WATCHED.store(true, Ordering::Release);
    } else {
        // SAFETY: I-ENV: an environment of this thread, whose worker has one. The hook uses no environment.
        ok(attempted, unsafe { napi_add_env_cleanup_hook(env.raw(), Some(worker_ends), null_mut()) })?;
        IS_HOOKED.set(true);
    }
    Ok(())
}

/// A worker ends.
unsafe extern "C" fn worker_ends(_: *mut c_void) {
    free_waiting();
}

/// The main thread's environment ends. Its workers have ended before. Its heap follows, after the hooks of other addons.
unsafe extern "C" fn ends(_: *mut c_void) {
    FREES.fetch_or(ENDED, Ordering::AcqRel);
    let began = Instant::now();
    while FREES.load(Ordering::Acquire) != ENDED && began.elapsed() < PATIENCE {
        yield_now();
    }
}
