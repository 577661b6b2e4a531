//! Runs cases on an engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock};

use crate::random::message_of;
use crate::{CASES, Capabilities, Case, Factory, Failure, Lab, Outcome, Report, Verdict};

/// Runs all cases on the engine whose isolates `factory` makes. `engine_name` is the engine's name in
/// `expectations.toml`.
///
/// A case that panics counts as failed. The panic does not unwind to the caller.
pub fn run(factory: &Factory<'_>, engine_name: &str) -> Report {
    run_cases(CASES, factory, engine_name)
}

/// Runs the given cases, which may be your own.
pub fn run_cases(cases: &[Case], factory: &Factory<'_>, engine_name: &str) -> Report {
    let capabilities = caught(|| Ok(Lab::new(factory).isolate()?.capabilities()));
    let verdicts = cases
        .iter()
        .map(|case| Verdict {
            case: *case,
            outcome: match &capabilities {
                Ok(capabilities) => run_case(case, factory, *capabilities),
                Err(failure) => Outcome::Fail(format!("there is no isolate to try it on: {failure}")),
            },
        })
        .collect();
    Report::new(engine_name.to_owned(), verdicts)
}

/// Cases that change a setting of the whole process, its byte budget. No other case runs at the same time, on any
/// thread.
const ALONE: &[&str] = &["A4"];
static RUNNING: RwLock<()> = RwLock::new(());

fn run_case(case: &Case, factory: &Factory<'_>, capabilities: Capabilities) -> Outcome {
    let missing = case.needs - capabilities;
    if !missing.is_empty() {
        return Outcome::Unsupported(missing);
    }
    let (_alone, _among_others) = match ALONE.contains(&case.number) {
        true => (Some(RUNNING.write().unwrap_or_else(PoisonError::into_inner)), None),
        false => (None, Some(RUNNING.read().unwrap_or_else(PoisonError::into_inner))),
    };
    match caught(|| (case.run)(&Lab::new(factory))) {
        Ok(()) => Outcome::Pass,
        Err(failure) => Outcome::Fail(failure),
    }
}

fn caught<T>(step: impl FnOnce() -> Result<T, Failure>) -> Result<T, String> {
    // Everything that the step used was dropped with it, or belongs to isolates that no other code has.
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(result) => result.map_err(|failure| failure.to_string()),
        Err(panic) => Err(format!("expected no panic, saw: {}", message_of(panic.as_ref()))),
    }
}
