//! The tests of the cases and their tools, in one program, because linking takes time. The files next to this folder
//! are separate programs: they run for a configured time, or set the observer of the process.
#![forbid(unsafe_code)]

mod circles;
mod common;
mod errors;
mod model;
mod quickjs;
mod runner;
