//! UNSAFE: the control block with its reference counts, what owns memory, slices of it, and copies that tolerate writers.
//!
//! Fields are private to the file that answers for them: [`RawStore`] is the only type that knows a block, [`Sole`] and
//! [`Frozen`] say of a block that slices need no mark, and the guards hold one. What SAFETY.md says of these types can
//! be checked by reading this folder alone.
#![allow(unsafe_code, reason = "the reference count, the guards and the copies that the safe types rest on")]

mod block;
mod born;
mod copy;
mod counts;
mod engine;
mod exposed;
mod guard;
mod manual;
mod memory;
mod owner;
mod packed_site;
mod resize;
mod shared;
mod sole;

#[cfg(all(test, loom))]
mod loom_tests;

pub use block::CONTROL_BLOCK_BYTES;
pub(crate) use block::{Memory, RawStore, RawWeak};
pub(crate) use copy::{load_bytes, store_bytes};
pub use engine::{EngineMemory, shared_engine_memory};
pub use exposed::{Hold, frees_bytes};
pub use guard::{Bytes, BytesMut, Cells, bytes_in, bytes_mut_in, cells_in, copy_from_slice_in};
pub(crate) use manual::{Freed, ManualBlock, ManualHandle, ManualOwner};
pub use memory::DeleterCallback;
pub(crate) use memory::{HeapMemory, WithDeleter};
pub use owner::{FrozenOwner, Owner};
pub(crate) use resize::Refused;
pub use shared::AtomicElement;
pub(crate) use sole::{Frozen, Sole};
