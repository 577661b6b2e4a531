//! The limit on what V8 counts as external memory, where the program started V8.
//!
//! V8 ends the process where its count changes by 32 GiB at once, and a collection takes away at once what all dead
//! buffers had. `start` switches that check off. Where the program started V8, all that is counted together stays below it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The most bytes in one buffer of V8 (`ArrayBuffer::kMaxByteLength` on 64 bits, without the sandbox).
pub(super) const MAX_BYTE_LENGTH: usize = (1 << 53) - 1;

/// The most by which the count may change where nobody set `--external-memory-max-reasonable-size`.
const MAX_CHANGE: usize = (32 << 30) - 1;

/// Before the first isolate it is known for good who started V8.
static IS_LIMITED: AtomicBool = AtomicBool::new(false);
static COUNTED: AtomicUsize = AtomicUsize::new(0);

pub(super) fn limit() {
    IS_LIMITED.store(true, Ordering::Relaxed);
}

#[inline]
pub(super) fn is_limited() -> bool {
    IS_LIMITED.load(Ordering::Relaxed)
}

/// The most bytes in one buffer that V8 counts.
#[inline]
pub(crate) fn max_byte_length() -> usize {
    if is_limited() { MAX_CHANGE } else { MAX_BYTE_LENGTH }
}

/// Whether V8 may count so many bytes more, from any thread. Where there is a limit they are given back once.
#[inline]
pub(super) fn take(byte_length: usize) -> bool {
    !is_limited() || take_limited(byte_length)
}

#[cold]
fn take_limited(byte_length: usize) -> bool {
    let add = |counted: usize| counted.checked_add(byte_length).filter(|&sum| sum <= MAX_CHANGE);
    COUNTED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
}

#[inline]
pub(super) fn give_back(byte_length: usize) {
    if is_limited() {
        COUNTED.fetch_sub(byte_length, Ordering::Relaxed);
    }
}
