//! All unsafe code of this crate.
//!
//! - `napi` has the few raw calls of Node-API.
//! - `object` goes through the loaded files. `symbols` finds V8's functions by their names, and `v8` calls them.
//! - `shared_ptr` is the C++ library's counted reference. `block` is one to a block of V8.
//! - `questions` asks the host what it is, and `executable` the program's file. `pin` keeps this addon mapped.
//! - `selftest` calls V8's functions before they are used, and `trial` does so in a child process.
//! - `wrap` makes blocks over stores. `engine_memory` makes stores over the memory that script made. `lent`
//!   recognizes memory of other addons. `heap_end` keeps blocks of V8 from being freed after V8's heap.
//! - `external` makes Node-API's external buffers over stores, and has their finalizers. `turn` is what a thread keeps of
//!   its environments.
//! - `host_memory` allocates buffers in the host. `script_memory` copies what script made, and `lend` lends it for a call.
//! - `mapped` makes buffers over mapped files.
#![allow(unsafe_code, reason = "Node-API is C, and V8 is C++; SAFETY.md names the invariants that each block cites")]

mod block;
mod bounds;
#[cfg(feature = "broken-tables")]
mod broken;
mod engine_memory;
pub(crate) mod executable;
pub(crate) mod external;
pub(crate) mod heap_end;
pub(crate) mod host_memory;
mod lend;
mod lent;
mod mapped;
pub(crate) mod napi;
mod object;

pub(crate) mod pin;
pub(crate) mod questions;
mod script_memory;
pub(crate) mod selftest;
mod shared_ptr;
mod slab;
mod sort;
pub(crate) mod symbols;
pub(crate) mod traits;
pub(crate) mod trial;
mod turn;
mod v8;
mod wrap;

pub(crate) use block::{Block, TABLE};
pub(crate) use bounds::check_in_bounds;
pub(crate) use engine_memory::{Memory, store_of};
pub use lend::{to_vec, with_bytes, with_bytes_mut};
pub use mapped::expose_mapped;
pub(crate) use script_memory::Object;
pub(crate) use sort::{Sort, node_buffer, typed_array};
pub(crate) use turn::Environment;
pub(crate) use v8::{Buffer, Handle, V8};
pub(crate) use wrap::wrap;
