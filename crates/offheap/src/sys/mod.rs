//! UNSAFE: pages and reservations from the system, and what happens when a mapped file is cut short.
#![allow(unsafe_code, reason = "system calls")]

mod fault;
mod file;
mod pages;
mod reservation;

pub use fault::exit_when_a_mapped_file_is_cut_short;
pub(crate) use file::{FileKey, MapFailure, MappedFile, OpenedFile};
pub(crate) use pages::Pages;
pub(crate) use reservation::Reservation;
