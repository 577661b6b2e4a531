//! UNSAFE: the calls into QuickJS.
//!
//! From the bottom up:
//!
//! - `allocator` is the allocator of QuickJS.
//! - `layout` knows the two private structs of QuickJS that are needed.
//! - `middle` detects when nothing may be moved.
//! - `realm` is a context in which no user code ever runs, and `frames` the text in which it tells call sites.
//! - `state` is the state of a runtime, `name` its id as an isolate, and `own` the state of an `Isolate`.
//! - `guards` proves that a thread has the runtime.
//! - `growing` lists the buffers that grow with shared memory.
//! - `moved` finds the holds of buffers whose memory moved.
//! - `callback` is the function that QuickJS calls for the memory of stores.
//! - `sort` finds out the type of a value, `found` the memory behind a buffer, `window` the part that a view shows,
//!   and `look` the state that script sees.
//! - `buffer` makes buffers over stores, and `shared` makes SharedArrayBuffers.
//! - `take` makes a store of the block that a buffer's memory is, and `retarget` finds or makes the store of any
//!   buffer, by a copy if there is no such block.
//! - `transfer` moves memory from one buffer to another.
//! - `natives` are the native functions for the set-up script.
//! - `graph` reads to which objects an object refers, and `retainers` finds out what keeps a buffer alive.
//! - `value` converts values, and `function` makes the native functions of programs.
//!
//! The files do not import each other in circles (`circles.rs` of offheap-conformance checks it).
#![allow(unsafe_code, reason = "QuickJS is C; SAFETY.md names the invariants that each block cites")]

mod allocator;
mod buffer;
mod callback;
mod found;
mod frames;
mod function;
mod graph;
mod growing;
mod guards;
mod job;
mod last;
mod layout;
mod look;
mod middle;
mod module;
mod moved;
mod name;
mod natives;
mod own;
mod realm;
mod retainers;
mod retarget;
mod shared;
mod sort;
mod stack;
mod state;
mod take;
mod transfer;
mod value;
mod window;

pub use allocator::Allocator;
pub(crate) use buffer::{MAX_BYTE_LENGTH, detach, expose, expose_copy};
pub(crate) use found::{engine_bytes, find_existing};
pub(crate) use function::new_function;
pub(crate) use guards::OnThread;
pub(crate) use job::run_job;
pub(crate) use layout::version;
pub(crate) use look::{check_is_buffer, copy_of, new_typed_array, resize, state_of, view_of};
pub(crate) use module::detect_module;
pub(crate) use natives::natives;
pub(crate) use own::Root;
pub(crate) use own::{Own, OwnContext, SetUpFunction};
pub(crate) use realm::text_of;
pub(crate) use retainers::retainers;
#[cfg(test)]
pub(crate) use retarget::pretend_layout_changed;
pub(crate) use retarget::{externalize, note_detached};
pub(crate) use shared::{allow_growable, expose_shared, grow_shared, see_all_growth, set_can_block};
pub(crate) use sort::{is_immutable, is_shared, is_view, view_buffer};
pub(crate) use stack::{DEFAULT_STACK_SIZE, limit_stack};
pub(crate) use state::{isolate_id, same_runtime, script_stack, with_state};
pub(crate) use transfer::{Transfer, transfer};
pub(crate) use value::{from_script, open, to_script};
pub(crate) use window::{externalize_view, window};
