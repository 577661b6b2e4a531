//! The stack of a thread. V8 takes it for granted that there are `--stack-size` bytes, and overflows one that has fewer.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::natives;
use crate::{ENGINE, Error};

/// What V8 takes unless `start` gave it the flag (`V8_DEFAULT_STACK_SIZE_KB` of x64 and arm64).
const DEFAULT_SIZE: usize = 984 << 10;

/// What is left to calls that script makes near the end: V8's own, and those of Rust.
const RESERVE: usize = 128 << 10;

/// What it takes to make an isolate, and to run a little script.
const LEAST: usize = RESERVE + (64 << 10);

static SIZE: AtomicUsize = AtomicUsize::new(DEFAULT_SIZE);

/// Notes the flag `--stack-size`, in KiB.
pub(super) fn set_size(kib: usize) {
    SIZE.store(kib.saturating_mul(1 << 10), Ordering::Relaxed);
}

/// Whether this thread has enough stack left for an isolate.
pub(super) fn check() -> Result<(), Error> {
    let here = 0_u8;
    let here = (&raw const here).addr();
    match lowest() {
        Some(lowest) if here.saturating_sub(lowest) < LEAST => Err(Error::Unsupported {
            engine: ENGINE,
            what: "run in the little stack that this thread has left",
            instead: "give the thread at least 512 KiB (`std::thread::Builder::stack_size`)",
        }),
        _ => Ok(()),
    }
}

/// Makes V8 throw a `RangeError` before this thread's stack ends. The isolate stays on it.
pub(super) fn limit(isolate: &mut v8::Isolate) {
    if let Some((lowest, end)) = bounds()
        && end - lowest < SIZE.load(Ordering::Relaxed).saturating_add(RESERVE)
    {
        natives::set_stack_limit(isolate, lowest + RESERVE);
    }
}

fn lowest() -> Option<usize> {
    bounds().map(|(lowest, _)| lowest)
}

/// The lowest address of this thread's stack, and the end that it grows from; `None` where the system does not tell.
#[cfg(target_os = "linux")]
fn bounds() -> Option<(usize, usize)> {
    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: I-LAYOUT: names this thread.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: I-LAYOUT: fills in the attributes of a living thread.
    if unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut lowest, mut byte_length) = (null_mut(), 0);
    // SAFETY: I-LAYOUT: filled in above.
    let failed = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut byte_length) };
    // SAFETY: I-FREE-ONCE: filled in above, and not used afterwards.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    let lowest = lowest.addr();
    (failed == 0).then_some((lowest, lowest + byte_length))
}

#[cfg(target_os = "macos")]
fn bounds() -> Option<(usize, usize)> {
    // SAFETY: I-LAYOUT: names this thread.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: I-LAYOUT: a living thread.
    let end = unsafe { libc::pthread_get_stackaddr_np(this) }.addr();
    // SAFETY: I-LAYOUT: a living thread.
    let byte_length = unsafe { libc::pthread_get_stacksize_np(this) };
    Some((end.checked_sub(byte_length)?, end))
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn bounds() -> Option<(usize, usize)> {
    None
}
