//! UNSAFE: the control block with its reference counts and its access word, the memory behind it, and its owners.
//!
//! The claims of SAFETY.md about these types can be checked by reading only this folder:
//!
//! - It imports nothing from above it, which `tests/layers.rs` checks. Below it are `sys`, whose unsafe functions have
//!   contracts of their own, and plain things: errors, ids, events, the budget.
//! - Code outside it cannot break an invariant. Fields, and functions whose misuse would break one, are private to this
//!   folder or to one of its files. All other functions are safe in any order, or `unsafe` with a contract.
//!
//! Only [`RawStore`] and [`RawWeak`] access a block. [`View`] is a reference with a range that lies in the block's memory.
//! A block behind a [`UniqueRef`] or a [`FrozenRef`] can be lent as a slice without a mark. [`Marked`], [`Copying`],
//! [`Writing`] and [`Claim`] are marks in the access word, each of which its drop removes once.
#![allow(unsafe_code, reason = "the reference count, and the memory that the safe types rest on")]

mod access;
mod atomic;
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
mod reference;
mod resize;
mod shared;
mod unique;
mod view;

#[cfg(all(test, loom))]
mod loom_tests;

pub(crate) use access::{Denied, MAX_BUFFERS};
pub(crate) use atomic::Machine;
pub use block::{CONTROL_BLOCK_BYTES, Holders};
pub(crate) use block::{NotTaken, RawStore, RawWeak};
pub(crate) use claim::Claim;
pub use copy::load_bytes;
pub(crate) use copy::store_bytes;
pub use engine::EngineMemory;
pub(crate) use file::FileOwner;
pub use manual::Unfreed;
pub(crate) use manual::{ManualHandle, end_host_at, free_address, freed_at, unfreed};
pub(crate) use mark::{Copying, Mark, Marked, Read, Write, Writing};
pub(crate) use memory::{HeapMemory, WithDeleter};
pub use owner::{FrozenOwner, Owner};
pub(crate) use resize::Refused;
pub(crate) use unique::{FrozenRef, UniqueRef};
pub(crate) use view::{View, WeakView};

use block::Memory;
