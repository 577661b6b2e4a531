//! All unsafe code of this crate.
//!
//! - `napi` has the few raw calls of Node-API.
//! - `symbols` finds V8's functions by their names, and `v8` calls them.
//! - `shared_ptr` is the C++ library's counted reference. `block` is one to a block of V8.
//! - `wrap` makes blocks over stores. `engine_memory` makes stores over the memory that script made.
#![allow(unsafe_code, reason = "Node-API is C, and V8 is C++; SAFETY.md names the invariants that each block cites")]

mod block;
mod engine_memory;
pub(crate) mod napi;
mod shared_ptr;
#[allow(dead_code, reason = "the self-test at load uses it")]
mod symbols;
#[allow(dead_code, reason = "the self-test at load uses it")]
mod v8;
mod wrap;

pub(crate) use block::{Block, TABLE};
pub(crate) use engine_memory::{Memory, store_of};
pub(crate) use v8::{Buffer, Handle, V8, use_v8};
pub(crate) use wrap::wrap;
