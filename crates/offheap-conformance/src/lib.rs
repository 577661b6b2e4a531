//! The conformance suite: what every engine adapter promises, as cases that run on any [`Engine`](offheap_engine::Engine).
//!
//! The cases are data ([`CASES`]) and not test functions, so that they also run in a process that no test harness
//! started. Those with a letter and a number mirror tests of V8 and carry their names: `A` for `test-api-array-buffer`,
//! `M` for the wasm tests of `ManuallyExternalizedBuffer`. Those that begin with `P-` are about the promises of offheap.
//!
//! Each case passes, fails with a reason, or is unsupported for want of a named [`Capability`]. Which ones
//! may do anything but pass on which engine is written down in `expectations.toml`; [`Report::check`] refuses
//! everything else, an unexpected pass too.
//!
//! # Examples
//! An engine's author runs the suite on an adapter of their own, here the model engine:
//! ```
//! use offheap_conformance::{Expectations, run};
//! use offheap_engine::{Engine, Error, ModelEngine};
//!
//! let expectations = Expectations::parse(
//!     r#"
//!     [MyEngine]
//!     lacks = ["script"]
//!     "#,
//! )?;
//! let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(ModelEngine::new(1)?)) };
//! let report = run(&make, "MyEngine");
//! report.check(&expectations)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

#[macro_use]
mod expect;
mod case;
mod cases;
mod expectations;
mod report;
mod runner;

pub use case::{Capability, Case, Factory, Lab};
pub use cases::CASES;
pub use expect::Failure;
pub use expectations::{Expectation, Expectations, InvalidExpectations};
pub use report::{Outcome, Report, Surprise, Surprises, Verdict};
pub use runner::{run, run_cases};
