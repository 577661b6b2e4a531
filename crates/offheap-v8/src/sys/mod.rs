//! All unsafe code of this crate: operations that the types of the crate `v8` cannot express.
//!
//! - `platform` starts V8, with the flags that `flags` accepts.
//! - `buffer` makes buffers over stores, and releases them.
//! - `block` has V8's own memory, and the table of stores by address.
//! - `allocator` makes the memory of script's buffers, and `buffer_limit` counts it. `limited_allocator` makes memory
//!   that counts as V8's own.
//! - `engine_memory` makes stores of memory that V8 allocated itself; `ended` has those of ended isolates.
//! - `counted` limits the bytes that V8 counts.
//! - `resizable` makes resizable buffers.
//! - `realm` has V8's own functions; `hooks` gives a scope to callbacks of V8 that get none.
//! - `state` is kept per isolate; `own_isolate` is an isolate of ours, `root` an object that a handle keeps.
//! - `value` converts values, and `function` makes the native functions of programs.
//! - `window` finds out which part of its buffer a view shows.
//! - `guards` proves which thread has an isolate; `lending` checks that no other code has the bytes of a slice.
//! - `retainers` finds out what keeps a buffer alive.
//! - `stack` measures the stack of a thread; `heap_limit` handles a full heap.
#![allow(unsafe_code, reason = "V8 is C++; SAFETY.md names the invariants that each block cites")]

mod allocator;
mod block;
mod buffer;
mod buffer_limit;
mod counted;
mod ended;
mod engine_memory;
mod facts;
mod flags;
mod function;
mod guards;
mod heap_limit;
mod hooks;
mod lending;
mod limited_allocator;
mod natives;
mod object;
mod own_isolate;
mod platform;
mod realm;
mod resizable;
mod retainers;
mod root;
mod running;
mod stack;
mod state;
mod value;
mod window;

pub(crate) use allocator::ALIGNMENT;
pub(crate) use buffer::{expose, expose_immutable, expose_shared, in_entered_context};
pub(crate) use counted::max_byte_length;
pub(crate) use engine_memory::{drop_released, find, locate, store_of};
pub(crate) use facts::Facts;
pub(crate) use guards::{cells, copy_in, copy_to};
pub(crate) use hooks::{instantiate_module, watch_import_meta, watch_messages, watch_rejections};
pub(crate) use lending::{check_lendable, check_only_buffer, lend};
pub(crate) use object::Buffer;
pub(crate) use own_isolate::{OwnIsolate, Settings};
pub(crate) use platform::{check_thread, start, started_by_the_program};
pub(crate) use realm::Function;
pub(crate) use resizable::{allocate, copy_resizable};
pub(crate) use retainers::retainers;
pub(crate) use root::{Root, buffer_of, object_of};
pub(crate) use running::Running;
pub(crate) use state::{State, enter, state};
pub(crate) use value::{from_script, to_script};
pub(crate) use window::window;
