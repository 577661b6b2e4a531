//! UNSAFE: the control block with its reference counts and its access word, the memory behind it, and what may own that.
//!
//! What SAFETY.md says of these types can be checked by reading this folder, and no code above it:
//!
//! - It imports nothing that stands above it (`tests/layers.rs` looks). Below it are `sys`, whose unsafe functions have
//!   contracts of their own, and plain things: errors, names, events, the budget.
//! - Nothing outside it can break an invariant. Fields, and functions whose misuse would, are private to this folder or to one
//!   file of it; what is left is safe to call in any order, or `unsafe` with a contract.
//!
//! [`RawStore`] is the only type that knows a block. [`View`] is a reference with a range that lies in the block's memory.
//! [`UniqueRef`] and [`FrozenRef`] say of a block that slices need no mark; [`Marked`], [`Copying`], [`Writing`] and [`Claim`] are marks in
//! the access word, each taken away once, by its drop.
#![allow(unsafe_code, reason = "the reference count, and the memory that the safe types rest on")]

mod access;
mod block;
mod claim;
mod copy;
mod counts;
mod engine;
mod file;
mod manual;
mod mark;
mod memory;
mod owner;
mod packed_site;
mod resize;
mod shared;
mod unique;
mod view;

#[cfg(all(test, loom))]
mod loom_tests;

pub(crate) use access::{Denied, MAX_BUFFERS};
pub use block::CONTROL_BLOCK_BYTES;
pub(crate) use block::{RawStore, RawWeak};
pub(crate) use claim::Claim;
pub(crate) use copy::{load_bytes, store_bytes};
pub use engine::EngineMemory;
pub(crate) use file::FileOwner;
pub use manual::Unfreed;
pub(crate) use manual::{ManualHandle, free_address, freed_at, unfreed};
pub(crate) use mark::{Copying, Marked, Read, Write, Writing};
pub(crate) use memory::{HeapMemory, WithDeleter};
pub use owner::{FrozenOwner, Owner};
pub(crate) use resize::Refused;
pub(crate) use unique::{FrozenRef, UniqueRef};
pub(crate) use view::{View, WeakView};

use block::Memory;
