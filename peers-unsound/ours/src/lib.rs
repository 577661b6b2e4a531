//! The programs of the other folders in the API of offheap. What the compiler refuses is in `examples/`, with the error in
//! the line before, and `tests/refused.rs` sees that it does; what an error answers, or simply works, is
//! `tests/answered.rs`.
#![forbid(unsafe_code)]
