//! The examples of `ours`, compiled from the same files, with offheap-v8 as the adapter. `tests/answered.rs` has V8's
//! answers.
#![forbid(unsafe_code)]
