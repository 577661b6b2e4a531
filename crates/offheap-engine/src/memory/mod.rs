//! UNSAFE: which store an engine's buffers are over. For adapters.
//!
//! An engine does not say what is behind a buffer. Whatever finds that out knows no engine here, and needs no isolate of
//! ours: it also serves where the isolate belongs to the host program, as in Node. `table` finds the store at an address,
//! `address_set` knows the memory that script got from us, `block` is an engine's own block of memory, `adopted` makes
//! stores over such blocks, `made` says how long they count as exposed, `copied` makes
//! stores with a copy, `lending` asks who else has the bytes of a slice,
//! `limit` is how many bytes an engine may count.
#![allow(unsafe_code, reason = "memory that an engine keeps, by its address; SAFETY.md names the invariants")]

mod address_set;
mod adopted;
mod block;
mod copied;
#[cfg(all(test, not(loom)))]
mod fake;
mod lending;
mod limit;
mod made;
mod table;

pub use address_set::{AddressSet, GRANULE};
pub use adopted::Adopted;
pub use block::{Block, BlockUse, NoBlock, references};
pub use copied::copy_into_store;
pub use lending::{Lender, LendingAdvice};
pub use limit::ByteLimit;
pub use made::{EndedIsolates, EngineMade, EngineMadeStores};
pub use table::{AddressTable, Given};
