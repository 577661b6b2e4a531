//! Records which code allocated, held, released and freed memory.
//!
//! A [`Ledger`] observes the events of all stores of a process. At any moment it says which stores live, where each was
//! made and who holds it, and which frees were refused, each with the place in the code.
//!
//! ```
//! use offheap::{BackingStore, ManualMemory};
//! use offheap_ledger::Level;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ledger = offheap_ledger::install(Level::Sites)?; // before the first store
//! let table = BackingStore::from_owner(vec![0_u8; 4096])?;
//! ledger.expect_static(&table); // it is meant to stay
//! let forgotten = BackingStore::from_owner(vec![0_u8; 1024])?;
//!
//! let report = ledger.report();
//! assert_eq!(report.balance.to_string(), "offheap: 2 stores, 5.0 KiB external, 1 leaked, 0 refused");
//! let leak = &report.leaks[0];
//! println!("{leak}"); // 1024 bytes, allocated at src/main.rs:5:17: held by 1 reference of native code
//! assert_eq!(leak.created, forgotten.site());
//! # Ok(())
//! # }
//! ```
//!
//! # Levels
//! | level | records | costs |
//! |---|---|---|
//! | [`Counts`](Level::Counts) | how many stores and bytes | the least |
//! | [`Sites`](Level::Sites) | each live store with place and stack, and who holds it | a walk over the stack for each store |
//! | [`Full`](Level::Full) | the history of each live store too | a walk for each event |
//!
//! With [`Builder::sample_bytes`] it records only samples, which is cheap enough for production.
//!
//! # In tests
//! [`assert_balanced`] fails a test that leaves a store behind. It works in tests that run in parallel.
//!
//! # Without a change to the program
//! A program that calls [`install_from_env`] obeys `OFFHEAP_LEDGER=sites:report.html`: it writes a page when it exits.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `html` | yes | the report as a page: [`Builder::report_to_file`] |
//! | `metrics` | no | gauges for the crate `metrics`: `Ledger::record_metrics` |
//! | `track-handles` | no | the place of each native handle: [`Holders::handles`] |
//!
//! # What is a leak
//! At the end of a program, each live store that nobody declared static with [`Ledger::expect_static`] has leaked.
//!
//! # Memory use
//! It keeps one record for each live store, and the first [`KEPT_REFUSALS`] refusals in full. After a store is freed, it
//! only keeps sums, so a program that makes stores forever does not make it grow. Each distinct stack is kept once, at most
//! [`MOST_STACKS`] of them.
#![deny(unsafe_code)]

mod balance;
mod balanced;
mod builder;
mod clock;
mod env;
mod error;
mod frames;
#[cfg(feature = "metrics")]
mod gauges;
mod happened;
mod held;
mod ledger;
mod level;
mod lines;
mod live;
mod observe;
mod output;
mod record;
mod refusal;
mod report;
mod reporting;
mod sample;
mod shard;
mod site;
mod snapshot;
mod stack;
mod stream;
mod sys;
mod thread;
mod thread_cache;
mod totals;

pub use balance::Balance;
pub use balanced::{Balanced, assert_balanced};
pub use builder::{Builder, HISTORY, install, installed};
pub use env::{VARIABLE, install_from_env};
pub use error::Error;
pub use held::Hold;
pub use ledger::Ledger;
pub use level::Level;
pub use live::{Buffers, HandleTo, Holders, LiveStore, Past};
pub use refusal::{KEPT_REFUSALS, Refusal};
pub use report::Report;
pub use snapshot::{Change, Difference, Snapshot, Store};
pub use stack::{MOST_STACKS, Stack};
pub use totals::Totals;
