//! Who allocated, held, released and freed what.
//!
//! A [`Ledger`] listens to the events of all stores of a process and says, at any moment, how many there were, which
//! memory was never freed, which references were never given back, and which frees were refused, each with the place
//! that did it.
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
//! # What it keeps
//! One record for each store that lives, one for each reference that is held, and the first
//! [`KEPT_REFUSALS`] refused frees in full. Of a store that was freed only the sums remain, so a program that makes
//! stores for ever does not grow by it.
//!
//! # What it is not told
//! The core emits no event for a free that it refuses: pass the result of a free through [`Ledger::checked`]. And a
//! plain `BackingStore` that is forgotten looks like one that is in use: tell the ledger of references that somebody
//! must give back with [`Ledger::hold`].
#![forbid(unsafe_code)]

mod balance;
mod ledger;
mod record;
mod report;

pub use balance::Balance;
pub use ledger::{Hold, KEPT_REFUSALS, Ledger};
pub use record::Record;
pub use report::{Leak, Report};
