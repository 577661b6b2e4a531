//! UNSAFE: the calls into QuickJS.
//!
//! `buffer` makes buffers over stores and lets go of them, `layout` knows the one private struct of QuickJS that is
//! needed, `retarget` moves the memory of script-made buffers into a store, `realm` is a context that no user code ever
//! ran in, `state` is what is kept per runtime, `roots` the table behind handles.
#![allow(unsafe_code, reason = "QuickJS is C; SAFETY.md names the invariants that each block cites")]

mod buffer;
mod job;
mod layout;
mod module;
mod realm;
mod retarget;
mod roots;
mod state;

pub(crate) use buffer::{
    MAX_BYTE_LENGTH, copy_into_engine, detach, expose, is_aligned, is_immutable, is_letting_go, view_buffer,
};
pub(crate) use job::run_job;
use layout::BufferFields;
pub(crate) use layout::version;
pub(crate) use module::detect_module;
pub(crate) use realm::is_immutable_view;
pub(crate) use retarget::{
    bytes, bytes_mut, cells, copy_in, externalize, note_detached, pretend_layout_changed, resize, state_of,
};
pub(crate) use roots::{Roots, roots};
pub(crate) use state::{free_old_blocks, with_state};
