//! Running code when the process exits in order.

use std::panic::catch_unwind;
use std::sync::OnceLock;

static AT_EXIT: OnceLock<fn()> = OnceLock::new();

/// Calls `run` when the process exits: when `main` returns, or at `std::process::exit`. Only for the first `run`.
pub(crate) fn at_exit(run: fn()) {
    extern "C" fn call() {
        if let Some(run) = AT_EXIT.get() {
            // A panic was printed. The process exits either way.
            let _ = catch_unwind(run);
        }
    }
    if AT_EXIT.set(run).is_ok() {
        // SAFETY: I-NO-UNWIND: `call` lets no panic out. If there is no room for it, nothing is called.
        unsafe { libc::atexit(call) };
    }
}
