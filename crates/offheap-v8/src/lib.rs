//! offheap on V8, through the crate `v8`: memory that Rust and script share without copying.
//!
//! Bring your own scope. A [`BackingStore`](offheap::BackingStore) goes in with [`expose`](BackingStoreExt::expose), the
//! store of any ArrayBuffer comes out with [`externalize`](BackingStoreExt::externalize), and the memory is freed once, when both
//! sides have let go:
//!
//! ```
//! use offheap_v8::BackingStoreExt;
//! use offheap_v8::offheap::{BackingStore, UniqueStore};
//! use offheap_v8::v8;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! offheap_v8::start("")?;
//! let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
//! v8::scope!(let scope, isolate);
//! let context = v8::Context::new(scope, v8::ContextOptions::default());
//! let scope = &mut v8::ContextScope::new(scope, context);
//!
//! let store: BackingStore = UniqueStore::from_owner(vec![1.0_f64, 2.0])?.into();
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
//! No guard is needed for that: bytes are copied, or lent as cells. SAFETY.md lists the few things that the crate `v8`
//! allows and a program must not do. Slices need proof that no script runs meanwhile: an [`Isolate`] of this crate, whose [`Scope`] is borrowed while a slice lives.
//!
//! ```
//! use offheap_v8::Isolate;
//!
//! # fn main() -> Result<(), offheap_v8::Error> {
//! let mut isolate = Isolate::new()?;
//! isolate.enter(|scope| {
//!     let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(4)")?;
//!     scope.bytes_mut(buffer.as_handle())?.fill(7);
//!     assert_eq!(scope.eval::<u32>("new Uint8Array(buffer)[3]")?, 7);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Script cannot run while the slice lives; this is refused by the compiler:
//!
//! ```compile_fail,E0502
//! # let mut isolate = offheap_v8::Isolate::new().unwrap();
//! isolate.enter(|scope| {
//!     let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(4)").unwrap();
//!     let bytes = scope.bytes(buffer.as_handle()).unwrap();
//!     scope.eval::<u32>("buffer.transfer(0); 1").unwrap();
//!     assert_eq!(bytes[0], 0);
//! });
//! ```
//!
//! # What this engine does
//! - It collects when it likes. A buffer is finalized some time after its last reference went, on a thread of V8's that
//!   sweeps, inside of a collection, or at the isolate's end; [`collect`] waits for it.
//! - Its own memory is taken over where it is: [`externalize`](BackingStoreExt::externalize) copies nothing.
//! - Buffers that script makes with one length in an [`Isolate`] are over memory of this crate's allocator, which may come
//!   back to Rust whole; [`IsolateBuilder::v8_allocator`] leaves that to V8.
//! - Resizable buffers, and those of `WebAssembly.Memory`, are V8's own, and only V8 resizes them. What shrinking takes is
//!   unmapped at once, so that their stores are read in the isolate's scope while script has them.
//! - It starts once in a process, by [`start`] or with the first [`Isolate`]. On machines with memory-protection keys,
//!   threads that are older than that cannot run it; they get an error.
//! - It takes the isolate that was entered last for that of whatever it is given. So a scope of another one is refused until
//!   that one was left; handles know their isolate, and enter it.
//! - It has detach keys, and keeps script from writing to immutable buffers where it was started for it, as [`start`]
//!   does. An immutable buffer is not detached, only collected.
//! - It throws a `RangeError` where a thread has used 984 KiB of stack (`--stack-size`). An [`Isolate`] gives script as much from
//!   where it is entered, or what the thread has left; for isolates that the program makes itself that is the program's to do.
//! - It ends the process where its heap is full, as its API has no errors for that; script's `new ArrayBuffer` throws. An
//!   [`Isolate`] stops script before that, which is an error, and goes on.
//! - It counts the bytes of each buffer over a store as external memory, and collects by that count. Mapped files, memory that
//!   is freed by hand and that of a `static` count as nothing. The count cannot be put right where it is too high (two buffers
//!   over one store): V8 ends the process when it takes away more than is left.
//! - Where the program started it, it takes less than 32 GiB in one buffer that it counts.
#![deny(unsafe_code)]

mod detach;
mod extension;
mod host;
mod isolate;
#[cfg(doctest)]
mod refused;
mod script;
mod sys;
mod typed;

pub use extension::{BackingStoreExt, FrozenStoreExt, SharedStoreExt, detach};
pub use host::V8;
pub use isolate::{Isolate, IsolateBuilder, IsolateExt, Scope, ScopeExt};
pub use offheap;
pub use offheap_engine::{
    BufferState, Capabilities, CopyReason, Element, Engine, Error, Exposure, FromJs, Handle, JsArrayBuffer,
    JsTypedArray, Local, ManuallyExternalizedBuffer, ScriptValue, TypedElement, U8Clamped, ViewState,
};
pub use script::{Throw, collect, script_site};
pub use v8;

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/from-v8.md")]
    mod from_v8 {}
}

/// How this adapter names its engine, in errors and to [`offheap::IsolateId::engine`].
const ENGINE: &str = "V8";

/// The version of V8 that the crate `v8` 152.2.0 carries.
pub const V8_VERSION: &str = "15.2.124.1";

/// Starts V8, with flags as on the command line of `d8`, separated by blanks; immutable buffers are switched on before
/// them. The first [`Isolate`] starts it otherwise, without flags.
///
/// Start it before other threads are made: on machines with memory-protection keys, threads that are older than V8 cannot
/// run it (`--no-memory-protection-keys` does without). Once it runs, calling this without flags does nothing.
///
/// # Errors
/// [`Error::Flag`] for what is none, and for a flag that makes V8 print and end the process, or end it for another reason;
/// [`Error::Unsupported`] for flags once V8 runs.
///
/// # Panics
/// If the program started V8 by itself and did not [say so](started_by_the_program).
pub fn start(flags: &str) -> Result<(), Error> {
    sys::start(flags)
}

/// Says that the program started V8 by itself (`v8::V8::initialize`). What uses a scope of an isolate knows it already.
pub fn started_by_the_program() {
    sys::started_by_the_program();
}
