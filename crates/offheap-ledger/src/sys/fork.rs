//! Whether this process is a copy that a program made of itself.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static IS_FORKED: AtomicBool = AtomicBool::new(false);

/// Notices a `fork` from now on.
pub(crate) fn notice_forks() {
    extern "C" fn in_child() {
        IS_FORKED.store(true, Ordering::Relaxed);
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: I-NO-UNWIND: `in_child` stores a number and cannot panic. If there is no room for it, forks are not noticed.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Whether this process was forked after [`notice_forks`]: the thread that writes the stream is not in it.
#[inline]
pub(crate) fn is_forked() -> bool {
    IS_FORKED.load(Ordering::Relaxed)
}
