//! The tests of the reports, in one program: each program takes time to link.
#![forbid(unsafe_code)]

mod common;
mod streams;

mod firefox;
mod following;
mod format;
mod json;
mod perfetto;
mod pprof;
mod reading;
mod terminal;
