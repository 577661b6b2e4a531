//! The tests of the command, in one program: each program takes time to link.
#![forbid(unsafe_code)]

#[macro_use]
mod common;

mod advice;
mod bad_input;
mod console;
mod examples;
mod hostile;
mod ledger;
mod memory;
mod places;
mod queued;
mod readme;
mod report;
mod scripts;
