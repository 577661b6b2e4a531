//! Records which code allocated, held, released and freed memory.
//!
//! A [`Ledger`] observes the events of all stores of a process. At any moment it reports the number of stores, the
//! memory that was never freed, the references that were never released, and the frees that were refused, each with the
//! place in the code.
//!
//! ```
//! use offheap::ManualMemory;
//! use offheap_ledger::Ledger;
//!
//! # fn main() -> Result<(), offheap::Error> {
//! let ledger = Ledger::install()?;
//! let memory = ManualMemory::allocate(1024)?;
//! memory.free()?;
//! let again = ledger.checked(memory.free());
//! assert!(again.is_err());
//!
//! assert_eq!(ledger.balance().to_string(), "offheap: 1 store, 1.0 KiB external, 0 leaked, 1 refused");
//! eprintln!("{}", ledger.report());
//! # Ok(())
//! # }
//! ```
//!
//! # Memory use
//! It keeps one record for each live store, one for each held reference, and the first [`KEPT_REFUSALS`] refused frees
//! in full. After a store is freed, it only keeps sums, so a program that makes stores forever does not make it grow.
//!
//! # What it cannot see
//! The core emits no event for a free that it refuses: pass the result of a free through [`Ledger::checked`]. A plain
//! `BackingStore` that was forgotten looks like one that is in use: use [`Ledger::hold`] to tell the ledger of
//! references that must be released.
#![forbid(unsafe_code)]

mod balance;
mod ledger;
mod record;
mod report;

pub use balance::Balance;
pub use ledger::{Hold, KEPT_REFUSALS, Ledger};
pub use record::Record;
pub use report::{Leak, Report};
