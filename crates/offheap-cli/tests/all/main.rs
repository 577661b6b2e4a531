//! The tests of the command, in one program: each program takes time to link.
#![forbid(unsafe_code)]

#[macro_use]
mod common;

mod advice;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod audit;
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
