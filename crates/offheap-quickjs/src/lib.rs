//! offheap on QuickJS-NG, through rquickjs: memory that Rust and script share without copying.
//!
//! Bring your own `Ctx`. [`expose`](BackingStoreExt::expose) makes an ArrayBuffer over a
//! [`BackingStore`](offheap::BackingStore), and [`externalize`](BackingStoreExt::externalize) returns the store of
//! any ArrayBuffer. The memory is freed once, when both sides have dropped it:
//!
//! ```
//! use offheap_quickjs::BackingStoreExt;
//! use offheap_quickjs::offheap::BackingStore;
//! use offheap_quickjs::rquickjs::{Context, Runtime};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let context = Context::full(&Runtime::new()?)?;
//! let store = BackingStore::from_owner(vec![1.0_f64, 2.0])?;
//! context.with(|ctx| -> Result<(), Box<dyn std::error::Error>> {
//!     ctx.globals().set("buffer", store.expose(&ctx)?)?;
//!     ctx.eval::<(), _>("new Float64Array(buffer)[0] = 7; delete globalThis.buffer")?;
//!     Ok(())
//! })?;
//! let vec: Vec<f64> = store.try_into_unique()?.try_into_owner()?;
//! assert_eq!(vec, [7.0, 2.0]);
//! # Ok(())
//! # }
//! ```
//!
//! A function that script calls takes and returns stores by the types of the [`prelude`]:
//!
//! ```
//! use offheap_quickjs::prelude::*;
//! use offheap_quickjs::rquickjs::{self, Context, Ctx, Function, Runtime};
//!
//! fn invert(ctx: Ctx<'_>, Buffer(pixels): Buffer) -> rquickjs::Result<()> {
//!     let inverted: Vec<u8> = pixels.to_vec()?.iter().map(|byte| !byte).collect();
//!     pixels.copy_in(&ctx, 0, &inverted).or_throw(&ctx)
//! }
//!
//! # fn main() -> Result<(), offheap_quickjs::Error> {
//! Context::full(&Runtime::new()?)?.with(|ctx| {
//!     ctx.globals().set("invert", Function::new(ctx.clone(), invert)?)?;
//!     let script = "const pixels = new Uint8Array([0, 255]); invert(pixels); pixels.join()";
//!     assert_eq!(ctx.eval::<String, _>(script).caught(&ctx)?, "255,0");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! None of this needs a guard: bytes are copied, or lent as cells. SAFETY.md lists the few things that the crate
//! `rquickjs` allows and a program must not do. Borrowing a slice requires proof that no script runs while it
//! lives. An [`Isolate`] of this crate gives it: the slice borrows its [`Scope`].
//!
//! ```
//! use offheap_quickjs::Isolate;
//!
//! # fn main() -> Result<(), offheap_quickjs::Error> {
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
//! # let mut isolate = offheap_quickjs::Isolate::new().unwrap();
//! isolate.enter(|scope| {
//!     let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(4)").unwrap();
//!     let bytes = scope.bytes(&buffer).unwrap();
//!     scope.eval::<u32>("buffer.transfer(0); 1").unwrap();
//!     assert_eq!(bytes[0], 0);
//! });
//! ```
//!
//! | feature | adds |
//! |---|---|
//! | `loader` | rquickjs's feature, and `IsolateBuilder::loader`: ES modules, through rquickjs's resolvers and loaders |
//! | `futures` | rquickjs's feature: `AsyncContext`, async functions |
//! | `macro` | rquickjs's feature: `#[function]`, `#[class]`, `#[module]`; they need `rquickjs` in your `Cargo.toml` too |
//! | `parallel` | rquickjs's feature: a `Runtime` and its contexts may move between threads; an [`Isolate`] does not |
//!
//! `docs/cookbook.md` of the repository has recipes: functions that take and return memory, parts and views, async,
//! workers, files.
//!
//! # What this engine does
//! - It counts references. A buffer is finalized at once, on the isolate's thread, when its last reference is
//!   dropped. Buffers in a cycle wait for a collection ([`collect`]), and the bytes of stores do not count when
//!   QuickJS decides to collect.
//! - A buffer has at most 2 GiB - 1 bytes. Expose parts of larger stores
//!   ([`BackingStore::slice`](offheap::BackingStore::slice)).
//! - The first `externalize` of a buffer that script made, shared or not, makes its memory that of a store, where it
//!   is. Memory of up to 504 bytes and memory whose length may change is copied, and so is all memory of a runtime
//!   that does not have our [`Allocator`]. The buffer uses the store from then on. QuickJS no longer counts the bytes,
//!   also not in its memory limit.
//! - `transfer` to another length copies into new memory, unless the buffer is resizable and the length is within its
//!   maximum. `resize` keeps the memory where it is.
//! - Each SharedArrayBuffer keeps a separate length. In an [`Isolate`], buffers over a growable store follow its
//!   length: at `byteLength`, at `grow`, at every call of `Atomics`, and whenever script starts; `grow` asks the
//!   store first. In your own `Ctx`, a buffer over a growable store keeps one length, and script cannot make
//!   growable buffers.
//! - For a growable SharedArrayBuffer that script makes, QuickJS allocates and zeroes `maxByteLength` bytes at
//!   once. A buffer over [`SharedStore::growable`](offheap::SharedStore::growable) takes memory only as it is
//!   written.
//! - `Atomics.wait` blocks its thread if [`IsolateBuilder::can_block`] allows it. `Atomics.notify` of any isolate
//!   with the same store wakes it. There is no `Atomics.waitAsync`.
//! - Its `Atomics` that write ignore immutability, and it has no detach keys. An [`Isolate`] replaces these functions
//!   before any user code runs. Your own `Ctx` has neither, so frozen memory is copied there, and the call says so.
//! - Its `slice` copies overlapping memory by `memcpy`, and refuses to read immutable buffers. Its `transfer` loses
//!   a buffer's memory if there is none for the new buffer. An [`Isolate`] replaces these functions.
//! - While QuickJS runs script or a lent `Ctx`, a [`Handle`] gives the store of a buffer that already has one, and
//!   an error for any other buffer, because QuickJS may be freeing its memory. Functions of rquickjs
//!   call [`externalize`](BackingStoreExt::externalize). A function of [`Scope::function`](offheap_engine::Scope::function)
//!   has a scope, in which handles work.
//! - A JavaScript value of rquickjs that a program forgets (`mem::forget`) makes the runtime end the process when
//!   it is dropped. A forgotten handle of this crate does not.
#![deny(unsafe_code)]

mod detach;
mod extension;
mod host;
mod isolate;
#[cfg(test)]
mod layout_tests;
mod newtypes;
pub mod prelude;
#[cfg(doctest)]
mod refused;
mod script;
mod sys;
mod throw;
mod typed;

pub use extension::{BackingStoreExt, FrozenStoreExt, SharedStoreExt, UniqueStoreExt, copy_of, detach, transfer};
pub use host::QuickJs;
pub use isolate::{Arguments, Isolate, IsolateBuilder, IsolateExt, Scope, ScopeExt};
pub use offheap;
pub use offheap_engine::{
    BufferState, Capabilities, CopyReason, Element, Engine, Error, Exposure, ExternalizedView, FromJs, Handle,
    HasBytes, IntoArguments, JsArrayBuffer, JsArrayBufferView, JsFunction, JsObject, JsType, Local,
    ManuallyExternalizedBuffer, PathStep, Retainers, RetainingPath, ScriptError, ScriptValue, SoughtStore, Source,
    TypedElement, U8Clamped, Value, ViewState,
};
pub use rquickjs;
pub use script::{collect, is_module, run_job, script_site, script_stack};
pub use sys::Allocator;
pub use throw::{Caught, OrThrow, Throw};
pub use typed::RquickjsElement;

/// The engine's name in errors, and in [`offheap::IsolateId::engine`].
const ENGINE: &str = "QuickJS";

/// The version of QuickJS-NG that rquickjs 0.14.0 contains.
pub const QUICKJS_VERSION: &str = "0.16.2";

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/cookbook.md")]
    mod cookbook {}
    #[doc = include_str!("../../../docs/find-a-leak.md")]
    mod find_a_leak {}
    #[doc = include_str!("../../../docs/from-rquickjs.md")]
    mod from_rquickjs {}
    #[doc = include_str!("../../../docs/manually-externalized-buffer.md")]
    mod manually_externalized_buffer {}
    #[doc = include_str!("../../../docs/resizable.md")]
    mod resizable {}
}
