//! Reads what the ledgers of offheap write, and shows it.
//!
//! A ledger writes a stream: one JSON object a line ([`format`]). A [`Reader`] reads its lines and says what is wrong with
//! those that it cannot read. A [`Trace`] follows the lines: it knows which stores live, who holds them, and the totals of
//! each place. A [`Sink`] gets each line together with the trace, and makes a report of it.
//!
//! ```
//! use offheap_report::format::Event;
//! use offheap_report::{Reader, Trace};
//!
//! let stream = r#"{"event":"start","version":1,"process":7}
//! {"event":"created","time":5,"store":1,"bytes":64,"kind":"fixed","site":"src/main.rs:3:9"}
//! "#;
//! let mut trace = Trace::default();
//! for line in Reader::new(stream.as_bytes()) {
//!     trace.apply(&line.read?)?;
//! }
//! assert_eq!(trace.live().count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod format;
mod read;
mod trace;

pub use read::{Numbered, Problem, Reader};
pub use trace::{Process, Sink, Store, Trace, Unknown};
