//! UNSAFE: the calls into QuickJS.
//!
//! From the bottom up: `layout` knows the one private struct of QuickJS that is needed, `middle` says when nothing may be moved,
//! `realm` is a context that no user code ever ran in, `state` is what is kept per runtime, with its `name`, and `own` what an
//! `Isolate` keeps besides; `guards` shows who has the runtime. `growing` lists the buffers that grow with shared memory,
//! `moved` finds the holds of buffers whose memory moved, `callback` is what QuickJS calls for memory of stores. `sort` tells
//! what a value is, `found` what is behind a buffer, `look` what script sees of it. `buffer` makes buffers over stores,
//! `shared` those of several isolates, `retarget` moves the memory of script-made buffers into a store, `transfer` moves
//! memory to other buffers. `natives` are functions for the set-up script.
//!
//! No file uses one that uses it (`circles.rs` of offheap-conformance).
#![allow(unsafe_code, reason = "QuickJS is C; SAFETY.md names the invariants that each block cites")]

mod buffer;
mod callback;
mod found;
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
mod sort;
mod stack;
mod state;
mod transfer;

pub(crate) use buffer::{MAX_BYTE_LENGTH, copy_into_engine, detach, expose, is_aligned};
pub(crate) use guards::OnThread;
pub(crate) use job::run_job;
pub(crate) use layout::version;
pub(crate) use look::{check_is_buffer, copy_of, new_typed_array, resize, state_of, view_of};
pub(crate) use module::detect_module;
pub(crate) use natives::natives;
pub(crate) use own::Root;
pub(crate) use own::{Own, OwnContext, SetUpFunction, value_of};
pub(crate) use realm::text_of;
#[cfg(test)]
pub(crate) use retarget::pretend_layout_changed;
pub(crate) use retarget::{externalize, note_detached};
pub(crate) use shared::{allow_growable, expose_shared, grow_shared, see_all_growth, set_can_block};
pub(crate) use sort::{is_immutable, is_shared, view_buffer};
pub(crate) use stack::{DEFAULT_STACK_SIZE, limit_stack};
pub(crate) use state::with_state;
pub(crate) use transfer::{Transfer, transfer};
