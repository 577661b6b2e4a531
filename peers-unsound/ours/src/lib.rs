//! The programs of the other folders, written with the API of offheap. `examples/` has the programs that the compiler
//! refuses, with the error before the refused line, and `tests/refused.rs` checks the errors. `tests/answered.rs` has
//! the programs that get an error or work.
#![forbid(unsafe_code)]
