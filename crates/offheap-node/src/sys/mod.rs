//! All unsafe code of this crate.
//!
//! - `napi` has the few raw calls of Node-API.
#![allow(unsafe_code, reason = "Node-API is C, and V8 is C++; SAFETY.md names the invariants that each block cites")]

pub(crate) mod napi;
