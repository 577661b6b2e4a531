//! UNSAFE: reading this thread's own stack, who holds a store, and the system's list of loaded modules.
#![allow(unsafe_code, reason = "walks over the thread's own stack")]

mod block;
mod exit;
mod fork;
mod modules;
mod name;
mod walk;

pub(crate) use block::Block;
pub(crate) use exit::at_exit;
pub(crate) use fork::{is_forked, notice_forks};
pub(crate) use name::thread_name;
pub(crate) use walk::Walker;
