//! UNSAFE: which store an engine's buffers are over. For adapters.
//!
//! An engine does not say what is behind a buffer. Whatever finds that out knows no engine here, and needs no isolate of
//! ours: it also serves where the isolate belongs to the host program, as in Node. `table` finds the store at an address,
//! `address_set` knows the memory that script got from us, `block` is an engine's own block of memory, `adopted` makes
//! stores over such blocks, `made` says how long they count as exposed, `copied` makes stores with a copy, `lending` asks who
//! else has the bytes of a slice, `limit` is how many bytes an engine may count, `last`
//! remembers the isolate that a thread used last.
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
//! static TABLE: AddressTable<NoBlock> = AddressTable::new("Mine");
//!
//! /// What the engine calls when a buffer is gone.
//! unsafe extern "C" fn finalizer(data: *mut c_void, hold: *mut c_void) {
//!     let hold = NonNull::new(hold).expect("made by `expose`");
//!     // SAFETY: what `expose` returned; the engine calls this once.
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
