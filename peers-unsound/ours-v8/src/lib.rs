//! The examples of `ours`, the same files, with offheap-v8 as the adapter; and what V8 answers in `tests/answered.rs`.
#![forbid(unsafe_code)]
