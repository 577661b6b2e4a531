//! The conformance suite: what every engine adapter promises, as cases that run on any [`Engine`](offheap_engine::Engine).
//!
//! The cases are data ([`CASES`]) and not test functions, so that they also run in a process that no test harness
//! started. Those with a letter and a number mirror tests of V8 and carry their names: `M` for the wasm tests of
//! `ManuallyExternalizedBuffer`, `A` for `test-api-array-buffer`, `B` for `backing-store-unittest`, `S` for
//! `test-array-buffer-tracker`, `V` for `test-api-typed-array`, `U` for `v8-array-buffer-unittest`. Where V8's test looks at
//! what no public API shows, the case's summary says what stands for it. Those that begin with `P-` are about the promises
//! of offheap. One case, `A4`, sets the [budget](offheap_engine::offheap::Budget) of the process while it runs: nothing
//! else should make stores of megabytes at that time.
//!
//! Each case passes, fails with a reason, or is unsupported because the engine lacks named [`Capabilities`]. Which ones
//! may do anything but pass on which engine is written down in `expectations.toml`; [`Report::check`] refuses
//! everything else, an unexpected pass too.
//!
//! [`random`] runs random sequences of operations on several engines, side by side, and makes short what differs.
//! [`soak`](fn@soak) has isolates on many threads pass stores around, and counts what is left.
//!
//! # Examples
//! An engine's author runs the suite on an adapter of their own, here the model engine:
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
pub mod random;
mod report;
mod runner;
mod soak;

pub use case::{Case, Factory, Lab};
pub use cases::CASES;
pub use errors::one_of_each_error;
pub use expect::Failure;
pub use expectations::{Expectation, Expectations, InvalidExpectations};
pub use offheap_engine::Capabilities;
pub use report::{Outcome, Report, Surprise, Surprises, Verdict};
pub use runner::{run, run_cases};
pub use soak::{Soak, Soaked, soak};
