//! UNSAFE: finds the store behind an engine's buffer. For adapters.
//!
//! An engine does not say which store is behind a buffer. The code here finds it. It depends on no engine and needs
//! no [`Isolate`](crate::Isolate), so it also works where the isolate belongs to the host program, as in Node.
//!
//! - `table` finds the store at an address.
//! - `address_set` contains the addresses of the memory that script got from us.
//! - `block` is an engine's own block of memory.
//! - `adopted` makes stores over such blocks, and `made` keeps them exposed until the engine drops the block.
//! - `copied` makes stores that hold a copy.
//! - `lending` checks whether other code has the bytes of a slice.
//! - `limit` limits the bytes that an engine counts.
//! - `last` remembers the isolate that a thread used last.
//!
//! ```
//! use std::ffi::c_void;
//! use std::ptr::NonNull;
//! use std::sync::Arc;
//!
//! use offheap_engine::memory::{AddressTable, Given, NoBlock};
//! use offheap_engine::offheap::adapter::IsolateRegistration;
//! use offheap_engine::offheap::{BackingStore, UniqueStore};
//!
//! /// One for each engine.
//! static TABLE: AddressTable<NoBlock> = AddressTable::new(|| "Mine");
//!
//! /// The function that the engine calls when a buffer is gone.
//! unsafe extern "C" fn finalizer(data: *mut c_void, hold: *mut c_void) {
//!     let hold = NonNull::new(hold).expect("made by `expose`");
//!     // SAFETY: `expose` returned it; the engine calls this function once.
//!     unsafe { TABLE.finalize(data, hold) };
//! }
//!
//! let isolate = Arc::new(IsolateRegistration::new("Mine")?);
//! let store = BackingStore::from(UniqueStore::zeroed(8)?);
//! let Given { data, hold } = TABLE.expose(&store, &isolate)?;
//! // Here the engine makes a buffer from `data`, with the finalizer and `hold`.
//!
//! // SAFETY: that buffer lives.
//! let found = unsafe { TABLE.find(data.addr().get(), 8) };
//! assert_eq!(found.as_ref(), Some(&store));
//! // SAFETY: as the engine calls it.
//! unsafe { finalizer(data.as_ptr(), hold.as_ptr()) };
//! assert_eq!(store.exposure(), None);
//! # Ok::<(), offheap_engine::Error>(())
//! ```
#![allow(unsafe_code, reason = "memory that an engine keeps, by its address; SAFETY.md names the invariants")]

mod address_set;
mod adopted;
mod block;
mod copied;
#[cfg(all(test, not(loom)))]
mod fake;
mod last;
mod lending;
mod limit;
mod made;
mod table;

pub use address_set::{AddressSet, GRANULE};
pub use adopted::Adopted;
pub use block::{Block, BlockUse, NoBlock, references};
pub use copied::copy_into_store;
pub use last::{EndedCount, LastIsolate};
pub use lending::{Lender, LendingAdvice};
pub use limit::ByteLimit;
pub use made::{EndedIsolates, EngineMade, EngineMadeStores};
pub use table::{AddressTable, Given};
