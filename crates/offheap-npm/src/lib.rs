//! The native half of the npm package `offheap`. Script does not call these functions itself: `index.js` does, which checks the
//! types of arguments.
//!
//! - `buffers` makes buffers: new memory, and mapped files.
//! - `kept` is memory that script keeps without a buffer.
//! - `ledger` is the ledger of the process, and `stats` what is counted without one.
//! - `errors` and `place` are what all of them use. `sys` has the unsafe code.
//!
//! The host never unloads this library: `napi_build` links it so.
#![deny(unsafe_code)]

pub mod buffers;
mod errors;
pub mod kept;
pub mod ledger;
pub mod place;
pub mod stats;
mod sys;
