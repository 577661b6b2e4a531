//! Owners of other crates and of std, one file for each, and conversions.
#![allow(unsafe_code, reason = "one `unsafe impl` per foreign type, nothing else")]

#[cfg(feature = "arrow")]
mod arrow;
#[cfg(feature = "bytes")]
mod bytes;
#[cfg(feature = "memmap2")]
mod memmap2;
#[cfg(feature = "napi")]
mod napi;
#[cfg(feature = "rquickjs")]
mod rquickjs;
mod std;
mod unique;
