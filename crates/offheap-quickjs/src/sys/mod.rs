//! UNSAFE: the calls into QuickJS.
//!
//! `buffer` makes buffers over stores and lets go of them, `moved` finds what they hold, `transfer` moves their memory to other
//! buffers, `layout` knows the one private struct of QuickJS that is needed, `retarget` moves the memory of script-made
//! buffers into a store, `middle` says when that is not to be, `shared` is about memory of several isolates, `growing` lists
//! the buffers that grow with it, `look` is about what script sees, `guards` shows who has the runtime, `realm` is a context
//! that no user code ever ran in, `natives` are the functions for the set-up script of another, `state` is what is kept per
//! runtime, `own` what an `Isolate` keeps besides.
#![allow(unsafe_code, reason = "QuickJS is C; SAFETY.md names the invariants that each block cites")]

mod buffer;
mod growing;
mod guards;
mod job;
mod layout;
mod look;
mod middle;
mod module;
mod moved;
mod name;
mod natives;
mod own;
mod realm;
mod retarget;
mod shared;
mod stack;
mod state;
mod transfer;

use buffer::is_buffer;
pub(crate) use buffer::{MAX_BYTE_LENGTH, copy_into_engine, detach, expose, is_aligned, is_immutable, view_buffer};
pub(crate) use guards::OnThread;
pub(crate) use job::run_job;
pub(crate) use layout::version;
use layout::{BufferFields, layout_changed};
pub(crate) use look::{check_is_buffer, copy_of, new_typed_array, resize, state_of, view_of};
pub(crate) use module::detect_module;
pub(crate) use natives::natives;
pub(crate) use own::Root;
pub(crate) use own::{Own, OwnContext, SetUpFunction, value_of};
pub(crate) use realm::text_of;
#[cfg(test)]
pub(crate) use retarget::pretend_layout_changed;
pub(crate) use retarget::{externalize, note_detached};
pub(crate) use shared::{allow_growable, expose_shared, grow_shared, is_shared, see_all_growth, set_can_block};
pub(crate) use stack::{DEFAULT_STACK_SIZE, limit_stack};
pub(crate) use state::with_state;
pub(crate) use transfer::{Transfer, transfer};
