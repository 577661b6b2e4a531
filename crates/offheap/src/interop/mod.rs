//! Owners of other crates, one file for each.
#![allow(unsafe_code, reason = "one `unsafe impl` per foreign type, nothing else")]

#[cfg(feature = "bytes")]
mod bytes;
