//! UNSAFE: whose memory an engine's buffers are over. For adapters.
//!
//! An engine does not say what is behind a buffer. What every adapter needs to find that out is here, and knows no engine:
//! it also serves where the isolate belongs to the host program.
#![allow(unsafe_code, reason = "memory by its address, which an engine keeps; SAFETY.md names the invariants")]

mod address_set;

pub use address_set::{AddressSet, GRANULE};
