//! Runs the conformance suite inside a host: Node, Deno or Bun. `scenarios/conformance.mjs` loads it.
//!
//! The runner is on a thread of its own. An isolate is a worker of the host, which serves the verbs of
//! [`Engine`] to that thread and turns its event loop between them. All objects of script stay in
//! the worker, in a table of `verbs.mjs`, and have numbers here.
#![deny(unsafe_code)]

mod hub;
mod reply;
mod worker;

use hub::{HUB, Link};
use napi::bindgen_prelude::{AsyncTask, Function, FunctionRef, Unknown};
use napi::{Env, Error as NapiError, Result, Task};
use napi_derive::napi;
use offheap_conformance::{Expectations, run, run_cases};
use offheap_engine::{Engine, Error, Isolate};
use worker::Worker;

/// What the suite found.
#[napi(object)]
pub struct Found {
    /// Whether every case came out as expected.
    pub as_expected: bool,
    /// The cases, one a line, and before them what was not expected.
    pub text: String,
}

/// A run of the suite.
pub struct Suite {
    section: String,
    only: Option<String>,
}

impl Task for Suite {
    type Output = Found;
    type JsValue = Found;

    fn compute(&mut self) -> Result<Found> {
        let make = || -> std::result::Result<Box<dyn Engine>, Error> { Ok(Box::new(Isolate::<Worker>::new()?)) };
        if let Some(only) = &self.only {
            let cases: Vec<_> = offheap_conformance::CASES.iter().filter(|case| case.number == only).copied().collect();
            let report = run_cases(&cases, &make, &self.section);
            return Ok(Found { as_expected: true, text: report.to_string() });
        }
        let report = run(&make, &self.section);
        Ok(match report.check(&Expectations::built_in()) {
            Ok(()) => Found { as_expected: true, text: report.to_string() },
            Err(surprises) => Found { as_expected: false, text: format!("{surprises}\n{report}") },
        })
    }

    fn resolve(&mut self, _: Env, found: Found) -> Result<Found> {
        Ok(found)
    }
}

/// Runs the suite, for the section of this name in `expectations.toml`, or one case of it. `start(number)` starts a worker.
#[napi]
pub fn run_suite(section: String, only: Option<String>, start: Function<'_, u32, ()>) -> Result<AsyncTask<Suite>> {
    HUB.begin(start)?;
    Ok(AsyncTask::new(Suite { section, only }))
}

/// Makes the worker in which it is called serve the runner.
#[napi]
pub fn serve(
    number: u32,
    tick: Function<'_, (), ()>,
    call: FunctionRef<String, String>,
    keep: FunctionRef<Unknown<'static>, u32>,
    get: FunctionRef<u32, Unknown<'static>>,
) -> Result<()> {
    HUB.join(number, Link::new(tick, call, keep, get)?);
    Ok(())
}

/// Called by a worker when work that takes turns of its event loop is done.
#[napi]
pub fn turned(number: u32) {
    HUB.turned(number);
}

/// Called by the main thread when a worker has ended.
#[napi]
pub fn ended(number: u32) {
    HUB.ended(number);
}

/// The error of an addon for one that Node-API gave.
fn engine_failed(_: NapiError) -> Error {
    Error::EngineFailed { engine: <Worker as offheap_engine::Host>::NAME, attempted: "call a worker" }
}
