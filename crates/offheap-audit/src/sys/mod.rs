//! Everything that is unsafe here: what is interposed, the tables of loaded objects, Node-API, and V8's functions.
#![allow(unsafe_code, reason = "the calls between the program's objects; each block cites SAFETY.md")]

mod c;
mod imports;
mod napi;
mod objects;
mod place;
mod preload;
mod v8;
mod watch;
mod wrappers;

pub(crate) use c::{move_descriptor_up, thread_number};
pub(crate) use v8::{WeakStore, about};
pub(crate) use wrappers::Finalizer;
