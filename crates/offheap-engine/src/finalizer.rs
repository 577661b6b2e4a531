//! Finalizers: an owner's `Drop` or an observer that runs because an engine frees memory. The engine waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use offheap::adapter::InFinalizer;

use crate::Error;

/// The error of a call of `engine` that [`in_finalizer`](offheap::adapter::in_finalizer) forbids. For adapters.
pub fn refused_in_finalizer(engine: &'static str) -> Error {
    Error::Unsupported {
        engine,
        what: "be called from an owner's drop or an observer: an engine may be in the middle of a call",
        instead: "record what to do, and do it afterwards",
    }
}

/// Runs `body`, which `engine` called to free memory. For adapters. Nothing may unwind into C, so a panic prints a
/// message and ends the process (I-NO-UNWIND).
#[inline]
pub fn run_finalizer<R>(engine: &'static str, body: impl FnOnce() -> R) -> R {
    run_finalizer_of(|| engine, body)
}

/// [`run_finalizer`] for an engine whose name is found out if it is needed.
#[inline]
pub(crate) fn run_finalizer_of<R>(engine: impl FnOnce() -> &'static str, body: impl FnOnce() -> R) -> R {
    let _no_engine = InFinalizer::enter();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| panicked(engine()))
}

#[cold]
fn panicked(engine: &'static str) -> ! {
    eprintln!("offheap: an owner's drop or an observer panicked while {engine} was freeing a buffer");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use offheap::adapter::in_finalizer;

    use super::*;

    #[test]
    fn engines_are_refused_while_it_runs_and_not_afterwards() {
        assert!(!in_finalizer());
        let nested = || run_finalizer("Fake", in_finalizer);
        assert_eq!(run_finalizer("Fake", || (nested(), in_finalizer())), (true, true));
        assert!(!in_finalizer());
    }

    #[test]
    fn a_panic_ends_the_process_and_names_the_engine() {
        const CHILD: &str = "OFFHEAP_PANICS_IN_A_FINALIZER";
        if std::env::var_os(CHILD).is_some() {
            run_finalizer("Fake", || panic!("of an owner"));
            return;
        }
        let mut child = Command::new(std::env::current_exe().expect("this program"));
        child.env(CHILD, "1").args([
            "--exact",
            "--nocapture",
            "finalizer::tests::a_panic_ends_the_process_and_names_the_engine",
        ]);
        let output = child.output().expect("a child");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("panicked while Fake was freeing"), "{said}");
    }
}
