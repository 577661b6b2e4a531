//! Reads what the ledgers of offheap write, and shows it.
//!
//! A ledger writes a stream: one JSON object a line ([`format`](mod@format)). A [`Reader`] reads its lines and says what is wrong with
//! those that it cannot read. A [`Trace`] follows the lines: it knows which stores live, who holds them, and the totals of
//! each place. A [`Sink`] gets each line together with the trace, and makes a report of it. [`follow`] does all of it for a
//! file.
//!
//! ```
//! use std::io;
//!
//! use offheap_report::format::{Event, Line};
//! use offheap_report::{Sink, Trace, follow};
//!
//! /// Counts the bytes that were freed.
//! #[derive(Default)]
//! struct Freed(u64);
//!
//! impl Sink for Freed {
//!     fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()> {
//!         if let (Event::Freed(_), Some(store)) = (&line.event, trace.store()) {
//!             self.0 += store.bytes;
//!         }
//!         Ok(())
//!     }
//!
//!     fn finish(&mut self, trace: &Trace) -> io::Result<()> {
//!         for store in trace.live_stores() {
//!             println!("{} bytes, held by {:?}", store.bytes, trace.holders(store));
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let stream = r#"{"event":"start","version":1,"process":7}
//! {"event":"created","time":5,"store":1,"bytes":64,"kind":"fixed","site":"src/main.rs:3:9"}
//! {"event":"created","time":6,"store":2,"bytes":8,"kind":"fixed","site":"src/main.rs:4:9"}
//! {"event":"freed","time":9,"store":1}
//! "#;
//! let (mut trace, mut freed) = (Trace::default(), Freed::default());
//! follow("stream.jsonl", stream.as_bytes(), &mut trace, &mut freed)?;
//! freed.finish(&trace)?;
//! assert_eq!(freed.0, 64);
//! assert_eq!(trace.processes()[0].totals.live_bytes, 8.0);
//! # Ok::<(), io::Error>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "firefox")]
mod firefox;
mod follow;
pub mod format;
mod holder;
mod html;
mod json;
mod perfetto;
mod place;
#[cfg(feature = "pprof")]
mod pprof;
mod process;
mod read;
mod size;
mod store;
#[cfg(feature = "terminal")]
mod terminal;
mod trace;
pub mod visible;

#[cfg(feature = "firefox")]
pub use firefox::Firefox;
pub use follow::{Sink, follow};
pub use holder::Holder;
pub use html::Html;
pub use json::Json;
pub use perfetto::Perfetto;
#[cfg(feature = "pprof")]
pub use pprof::Pprof;
pub use process::{Process, Totals};
pub use read::{Cause, LONGEST_LINE, Numbered, Problem, Reader};
pub use size::Size;
pub use store::Store;
#[cfg(feature = "terminal")]
pub use terminal::Terminal;
pub use trace::{Trace, Untold};
