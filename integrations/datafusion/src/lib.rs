//! JavaScript functions in SQL, for [DataFusion](datafusion): V8 runs them over the memory of the columns.
//!
//! ```
//! use datafusion::execution::session_state::SessionStateBuilder;
//! use datafusion::prelude::SessionContext;
//! use offheap_datafusion::{JavaScript, sql};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Before the runtime makes threads: V8 does not run on threads that are older than it is.
//!     offheap_datafusion::offheap_v8::start("")?;
//!     tokio::runtime::Runtime::new()?.block_on(async {
//!         let builder = SessionStateBuilder::new().with_default_features();
//!         let context = SessionContext::new_with_state(JavaScript::install(builder).build());
//!         let create = "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT IMMUTABLE AS 'x => x * 2 + 1'";
//!         sql(&context, create).await?;
//!         let rows = sql(&context, "SELECT f(20.5)").await?.to_string().await?;
//!         assert!(rows.contains("42.0"), "{rows}");
//!         Ok(())
//!     })
//! }
//! ```
//!
//! `docs/datafusion.md` of the repository has the statement with all its clauses, the types, the limits, and what is not
//! possible.
//!
//! # Threads
//! A thread that runs a part of a query gets an isolate of V8 at its first batch of rows, and drops it when the thread ends.
//! It compiles a function once, and keeps the 64 functions that it used last. Each function has a context of its own in the
//! isolate: functions see nothing of each other. What a function keeps in its globals is a thread's own, and is lost when
//! the thread forgets the function or hits a limit.
//!
//! # Limits
//! A watchdog thread ends a batch that takes too long. Then, and when V8's heap became too large, the query ends with an
//! [`Error`], and the thread gets a new isolate. A query that is cancelled stops between two batches, and inside a batch at
//! the time limit. DataFusion calls a function of constants while it plans, unless it is volatile: such a call that fails is
//! made once in a query. Limits protect from mistakes, not from attackers.
#![forbid(unsafe_code)]

mod aggregate;
#[cfg(feature = "ballista")]
pub mod cluster;
#[cfg(feature = "ballista")]
mod codec;
mod coerce;
mod definition;
#[cfg(feature = "ballista")]
mod encode;
mod engine;
mod error;
mod factory;
mod failures;
mod function;
mod settings;
mod stamp;
mod statement;
mod watchdog;

pub use aggregate::udaf;
pub use datafusion;
pub use error::Error;
pub use factory::JavaScript;
pub use function::udf;
pub use offheap_arrow;
pub use offheap_v8;
pub use statement::sql;
