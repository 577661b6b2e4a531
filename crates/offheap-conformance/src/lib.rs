//! The conformance suite: the promises of every engine adapter, as cases that run on any
//! [`Engine`](offheap_engine::Engine).
//!
//! The cases are data ([`CASES`]) and not test functions, so that they also run in a process without a test harness.
//! Cases with a letter and a number mirror tests of V8 and have their names: `M` stands for the wasm tests of
//! `ManuallyExternalizedBuffer`, `A` for `test-api-array-buffer`, `B` for `backing-store-unittest`, `S` for
//! `test-array-buffer-tracker`, `V` for `test-api-typed-array`, `U` for `v8-array-buffer-unittest`. If V8's test checks
//! something that no public API shows, the case's summary names the replacement. Cases that begin with `P-` check the
//! promises of offheap. One case, `A4`, sets the [budget](offheap_engine::offheap::Budget) of the process while it
//! runs: during that time no other code should make stores of megabytes.
//!
//! Each case passes, fails with a reason, or is unsupported because the engine lacks named [`Capabilities`].
//! `expectations.toml` lists the cases that may fail or be unsupported, for each engine. [`Report::check`] refuses
//! every other deviation, including an unexpected pass.
//!
//! [`random`] runs random sequences of operations on several engines side by side, and shrinks a sequence whose
//! outcomes differ. The operations include views, and native functions that script calls. [`soak`](fn@soak) runs isolates on
//! many threads that pass stores to each other, and checks that nothing is left at the end.
//!
//! [`check_functions`] checks the values and the native functions of an [`Isolate`](offheap_engine::Isolate) whose engine
//! has script, [`views::check_views`] what its scopes do with views, [`retainers::check_retainers`] what keeps a buffer alive, and
//! [`lending::check_lending`] the guards of an engine that lends script's memory without a store. With the feature `ledger`, the
//! module `ledger` checks the lines of script that a ledger names. [`stores`] makes stores for all of these tests.
//!
//! # Examples
//! An engine's author runs the suite on their own adapter, here the model engine:
//! ```
//! use offheap_conformance::{Expectations, run};
//! use offheap_engine::{Engine, Error};
//! use offheap_model::model;
//!
//! let expectations = Expectations::parse(
//!     r#"
//!     [MyEngine]
//!     lacks = ["script", "wasm", "generations"]
//!     "#,
//! )?;
//! let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(model(1)?)) };
//! let report = run(&make, "MyEngine");
//! report.check(&expectations)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

#[macro_use]
mod expect;
mod case;
mod cases;
mod errors;
mod expectations;
mod functions;
#[cfg(feature = "ledger")]
pub mod ledger;
pub mod lending;
pub mod random;
mod report;
pub mod retainers;
mod runner;
mod soak;
pub mod stores;
pub mod views;

pub use case::{Case, Factory, Lab};
pub use cases::CASES;
pub use errors::one_of_each_error;
pub use expect::Failure;
pub use expectations::{Expectation, Expectations, InvalidExpectations};
pub use functions::check_functions;
pub use offheap_engine::Capabilities;
pub use report::{Outcome, Report, Surprise, Surprises, Verdict};
pub use runner::{run, run_cases};
pub use soak::{Soak, Soaked, soak};
