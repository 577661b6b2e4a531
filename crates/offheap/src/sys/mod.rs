//! UNSAFE: calls of the system for pages and reservations, mapped files and their faults, and the stack of a thread.
#![allow(unsafe_code, reason = "system calls")]

mod fault;
mod file;
mod maps;
mod pages;
mod quarantine;
mod reservation;
mod stack;

pub use fault::exit_when_a_mapped_file_is_cut_short;
pub(crate) use file::{FileKey, MapFailure, MappedFile, OpenedFile};
pub(crate) use pages::Pages;
pub use quarantine::quarantine;
pub(crate) use quarantine::{Freed, is_on as is_quarantine_on};
pub(crate) use reservation::Reservation;
pub use stack::{stack_pointer, thread_stack};
