//! offheap on V8, through the crate `v8`: memory that Rust and script share without copying.
//!
//! Bring your own scope. [`expose`](BackingStoreExt::expose) makes an ArrayBuffer over a
//! [`BackingStore`](offheap::BackingStore), and [`externalize`](BackingStoreExt::externalize) returns the store of any
//! ArrayBuffer. The memory is freed once, when both sides have dropped it:
//!
//! ```
//! use offheap_v8::BackingStoreExt;
//! use offheap_v8::offheap::BackingStore;
//! use offheap_v8::v8;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! offheap_v8::start("")?;
//! let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
//! v8::scope!(let scope, isolate);
//! let context = v8::Context::new(scope, v8::ContextOptions::default());
//! let scope = &mut v8::ContextScope::new(scope, context);
//!
//! let store = BackingStore::from_owner(vec![1.0_f64, 2.0])?;
//! let buffer = store.expose(scope)?;
//! let name = v8::String::new(scope, "buffer").unwrap();
//! context.global(scope).set(scope, name.into(), buffer.into());
//! let source = v8::String::new(scope, "new Float64Array(buffer)[0] = 7").unwrap();
//! v8::Script::compile(scope, source, None).unwrap().run(scope).unwrap();
//!
//! offheap_v8::detach(scope, buffer.into(), None)?;
//! let vec: Vec<f64> = store.try_into_unique()?.try_into_owner()?;
//! assert_eq!(vec, [7.0, 2.0]);
//! # Ok(())
//! # }
//! ```
//!
//! This needs no guard: bytes are copied, or lent as cells. SAFETY.md lists the few things that the crate `v8` allows
//! and a program must not do. Borrowing a slice requires proof that no script runs while it lives. An [`Isolate`] of
//! this crate provides the proof: the slice borrows its [`Scope`].
//!
//! ```
//! use offheap_v8::Isolate;
//!
//! # fn main() -> Result<(), offheap_v8::Error> {
//! let mut isolate = Isolate::new()?;
//! isolate.enter(|scope| {
//!     let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(4)")?;
//!     scope.bytes_mut(&buffer)?.fill(7);
//!     assert_eq!(scope.eval::<u32>("new Uint8Array(buffer)[3]")?, 7);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Script cannot run while the slice lives. The compiler refuses this:
//!
//! ```compile_fail,E0502
//! # let mut isolate = offheap_v8::Isolate::new().unwrap();
//! isolate.enter(|scope| {
//!     let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(4)").unwrap();
//!     let bytes = scope.bytes(&buffer).unwrap();
//!     scope.eval::<u32>("buffer.transfer(0); 1").unwrap();
//!     assert_eq!(bytes[0], 0);
//! });
//! ```
//!
//! `docs/cookbook.md` of the repository has recipes: functions that take and return memory, parts and views, async,
//! workers, files.
//!
//! # What this engine does
//! - It decides itself when to collect. A buffer is finalized some time after its last reference was dropped: on one of
//!   V8's sweeper threads, inside a collection, or at the end of the isolate. [`collect`] waits for it.
//! - Its own memory is taken over in place: [`externalize`](BackingStoreExt::externalize) copies nothing.
//! - Buffers of fixed length that script makes in an [`Isolate`] are over memory of this crate's allocator, which Rust
//!   can take over whole, and which a scope lends without making a store. [`IsolateBuilder::v8_allocator`] leaves such
//!   memory to V8.
//! - Resizable buffers, and those of a `WebAssembly.Memory`, are in V8's own memory, and only V8 resizes them. V8
//!   unmaps pages as soon as a buffer shrinks, so while script has such a buffer, its store is read in the isolate's
//!   scope.
//! - It starts once in a process, by [`start`] or with the first [`Isolate`]. On machines with memory-protection keys,
//!   a thread that is older cannot run it, and gets an error.
//! - It assumes that everything it is given belongs to the isolate that was entered last. So a scope of another isolate
//!   is refused until that one was left. Handles know their isolate, and enter it.
//! - It has detach keys. It keeps script from writing to immutable buffers if it was started for that, as [`start`]
//!   does. An immutable buffer cannot be detached, only collected.
//! - It throws a `RangeError` when a thread has used 984 KiB of stack (`--stack-size`). An [`Isolate`] gives script
//!   that much, counted from where it is entered, or as much as the thread has left. A program does this itself for
//!   isolates that it makes.
//! - It ends the process when its heap is full, because its API has no errors for that; script's `new ArrayBuffer`
//!   throws. An [`Isolate`] stops the script before that with [`Error::HeapLimit`], and stays usable. The bytes of buffers
//!   are not on the heap; [`IsolateBuilder::max_buffer_bytes`] limits them.
//! - It counts the bytes of each buffer over a store as external memory, and collects by that count. Mapped files,
//!   memory that is freed by hand, and a `static` count as nothing. If the count is too high (two buffers over one
//!   store), it cannot be corrected: V8 ends the process if more is subtracted than is left.
//! - If the program started V8, one buffer that it counts must be smaller than 32 GiB.
#![deny(unsafe_code)]

mod callbacks;
mod detach;
mod extension;
mod heap_snapshot;
mod host;
mod isolate;
mod modules;
mod paths;
#[cfg(doctest)]
mod refused;
mod script;
mod sys;
mod typed;

pub use extension::{BackingStoreExt, FrozenStoreExt, SharedStoreExt, UniqueStoreExt, copy_of, detach, transfer};
pub use host::V8;
pub use isolate::{Arguments, Isolate, IsolateBuilder, IsolateExt, Scope, ScopeExt};
pub use modules::evaluate_module;
pub use offheap;
pub use offheap_engine::{
    BufferState, Capabilities, CopyReason, Element, Engine, Error, Exposure, ExternalizedView, FromJs, Handle,
    HasBytes, IntoArguments, JsArrayBuffer, JsArrayBufferView, JsFunction, JsObject, JsType, Local,
    ManuallyExternalizedBuffer, PathStep, Retainers, RetainingPath, ScriptError, ScriptValue, SoughtStore, Source,
    TypedElement, U8Clamped, Value, ViewState,
};
pub use script::{Throw, collect, heap_limit_error, script_site, script_stack};
pub use v8;

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/from-v8.md")]
    mod from_v8 {}
}

/// The name of this engine, in errors and in [`offheap::IsolateId::engine`].
const ENGINE: &str = "V8";

/// The version of V8 in the crate `v8` that this crate was built with, for example `"15.2.124.1-rusty"`.
pub const V8_VERSION: &str = v8::VERSION_STRING;

/// Starts V8. `flags` are separated by spaces, as on the command line of `d8`. Before these flags are read, immutable
/// buffers are switched on, and two optimizations off: the unrolling of loops, which makes some of them endless, and
/// additions for whole numbers only, which slow loops over a `Float64Array` down. Without this call, the first
/// [`Isolate`] starts V8 without flags.
///
/// Start V8 before you make other threads: on machines with memory-protection keys, a thread that is older than V8
/// cannot run it (unless the flags contain `--no-memory-protection-keys`). Once V8 runs, a call without flags does
/// nothing.
///
/// # Errors
/// [`Error::Flag`] for text that is not a flag, and for a flag that makes V8 print and end the process, or end it for
/// another reason; [`Error::Unsupported`] for flags once V8 runs.
///
/// # Panics
/// If the program started V8 itself and did not [say so](started_by_the_program).
pub fn start(flags: &str) -> Result<(), Error> {
    sys::start(flags)
}

/// Tells offheap that the program started V8 itself (`v8::V8::initialize`). Functions that take a scope of an isolate
/// need no such call: an isolate exists, so V8 was started.
pub fn started_by_the_program() {
    sys::started_by_the_program();
}
