//! The tests of the reports, in one program: each program takes time to link.
#![forbid(unsafe_code)]

mod common;

mod following;
mod format;
mod reading;
mod terminal;
