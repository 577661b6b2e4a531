//! The end of the main thread's heap in Node.
//!
//! A block of V8's own memory is freed by the allocator of the isolate that made it. Workers of Node give their blocks a
//! counted reference to the allocator. The main thread does not: Node frees that allocator after its heap, some milliseconds
//! before the process ends. So from the end of the main environment on, our last references to such blocks are leaked.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use napi::Env;
use napi_sys::napi_add_env_cleanup_hook;

use super::napi::{is_main_thread, ok};
use crate::Error;

/// How many blocks are being freed, and [`ENDED`].
static FREES: AtomicUsize = AtomicUsize::new(0);
const ENDED: usize = 1 << (usize::BITS - 1);

/// How long the end waits for frees. One of V8's takes microseconds. What takes longer is code of another addon, which does
/// not use the allocator, and may wait for this thread.
const PATIENCE: Duration = Duration::from_secs(1);

/// Frees a block, unless the main thread's heap has ended or is about to.
pub(super) fn free(block: impl FnOnce()) {
    if FREES.fetch_add(1, Ordering::AcqRel) & ENDED == 0 {
        block();
    }
    FREES.fetch_sub(1, Ordering::Release);
}

/// Watches for the end of the main thread's heap, if this is an environment of the main thread.
///
/// # Errors
/// Those of the host.
pub(crate) fn watch(env: &Env) -> Result<(), Error> {
    static IS_WATCHED: AtomicBool = AtomicBool::new(false);
    if IS_WATCHED.load(Ordering::Relaxed) || !is_main_thread() {
        return Ok(());
    }
    // SAFETY: I-ENV: an environment of this thread. The hook uses no environment.
    ok("watch the end", unsafe { napi_add_env_cleanup_hook(env.raw(), Some(ends), null_mut()) })?;
    IS_WATCHED.store(true, Ordering::Relaxed);
    Ok(())
}

/// The main thread's environment ends. Its workers have ended before. Its heap is next.
unsafe extern "C" fn ends(_: *mut c_void) {
    FREES.fetch_or(ENDED, Ordering::AcqRel);
    let began = Instant::now();
    while FREES.load(Ordering::Acquire) != ENDED && began.elapsed() < PATIENCE {
        yield_now();
    }
}
