//! offheap on QuickJS-NG, through rquickjs: memory that Rust and script share without copying.
//!
//! Bring your own `Ctx`. A [`BackingStore`](offheap::BackingStore) goes in with
//! [`expose`](BackingStoreExt::expose), the store of any ArrayBuffer comes out with
//! [`externalize`](BackingStoreExt::externalize), and the memory is freed once, when both sides have let go:
//!
//! ```
//! use offheap_quickjs::BackingStoreExt;
//! use offheap_quickjs::offheap::{BackingStore, UniqueStore};
//! use offheap_quickjs::rquickjs::{Context, Runtime};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let context = Context::full(&Runtime::new()?)?;
//! let store: BackingStore = UniqueStore::from_owner(vec![1.0_f64, 2.0])?.into();
//! context.with(|ctx| -> Result<(), Box<dyn std::error::Error>> {
//!     ctx.globals().set("buffer", store.expose(&ctx)?)?;
//!     ctx.eval::<(), _>("new Float64Array(buffer)[0] = 7; void delete globalThis.buffer")?;
//!     Ok(())
//! })?;
//! let vec: Vec<f64> = store.try_into_unique()?.try_into_owner()?;
//! assert_eq!(vec, [7.0, 2.0]);
//! # Ok(())
//! # }
//! ```
//!
//! No guard is needed for that: bytes are copied, or lent as cells. SAFETY.md lists the few things that the crate `rquickjs`
//! allows and a program must not do. Slices need proof that no script runs meanwhile: an [`Isolate`] of this crate, whose [`Scope`] is borrowed while a slice lives.
//!
//! ```
//! use offheap_quickjs::Isolate;
//!
//! # fn main() -> Result<(), offheap_quickjs::Error> {
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
//! # let mut isolate = offheap_quickjs::Isolate::new().unwrap();
//! isolate.enter(|scope| {
//!     let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(4)").unwrap();
//!     let bytes = scope.bytes(buffer.as_handle()).unwrap();
//!     scope.eval::<u32>("buffer.transfer(0); 1").unwrap();
//!     assert_eq!(bytes[0], 0);
//! });
//! ```
//!
//! | feature | adds |
//! |---|---|
//! | `loader` | `IsolateBuilder::loader`: ES modules, through rquickjs's resolvers and loaders |
//!
//! # What this engine does
//! - It counts references: a buffer is finalized at once, on the isolate's thread, when its last reference goes. Cycles
//!   wait for a collection ([`collect`]), and QuickJS does not see the bytes of stores when it decides on one.
//! - One buffer has at most 2 GiB - 1 bytes. Expose parts of larger stores
//!   ([`BackingStore::slice`](offheap::BackingStore::slice)).
//! - Its own memory cannot be taken over where it is: the first `externalize` of a buffer that script made, shared or not,
//!   copies the bytes into a store, and the buffer uses the store from then on.
//! - `transfer` to another length copies into new memory, unless the buffer is resizable and the length within its
//!   maximum. `resize` keeps the memory where it is.
//! - Its SharedArrayBuffers have a length each. In an [`Isolate`] those over a growable store follow its length: at
//!   `byteLength`, `grow` and every call of `Atomics`, and whenever script begins; `grow` asks the store first. Over
//!   growable stores a `Ctx` of your own gets buffers of one length, and script cannot make growable ones there.
//! - Memory for `maxByteLength` of a growable SharedArrayBuffer that script makes is taken, and zeroed, at once. One over
//!   [`SharedStore::growable`](offheap::SharedStore::growable) takes memory as it is written.
//! - `Atomics.wait` blocks its thread where [`IsolateBuilder::can_block`] allows it, and `Atomics.notify` of any isolate
//!   with the same store ends that. There is no `Atomics.waitAsync`.
//! - Its writing `Atomics` ignore that a buffer is immutable, and it has no detach keys. An [`Isolate`] has both mended
//!   before any user code runs; a `Ctx` of your own has neither, so frozen memory is copied there, and reported.
//! - Its `slice` copies overlapping memory by `memcpy`, and refuses to read immutable buffers; its `transfer` loses a buffer's
//!   memory where there is none for the new buffer. An [`Isolate`] has its own.
//! - While it works, for script or a lent `Ctx`, a [`Handle`] gives the store of a buffer that has one, and an error for any
//!   other, whose memory may be on its way out; [`externalize`](BackingStoreExt::externalize) is for native functions.
//! - A JavaScript value of rquickjs that is forgotten (`mem::forget`) makes its runtime end the process when it is dropped.
//!   Handles of this crate do not.
#![deny(unsafe_code)]

mod detach;
mod extension;
mod host;
mod isolate;
#[cfg(test)]
mod layout_tests;
#[cfg(doctest)]
mod refused;
mod script;
mod sys;
mod typed;

pub use extension::{BackingStoreExt, FrozenStoreExt, SharedStoreExt, copy_of, detach};
pub use host::QuickJs;
pub use isolate::{Isolate, IsolateBuilder, IsolateExt, Scope, ScopeExt};
pub use offheap;
pub use offheap_engine::{
    BufferState, Capabilities, CopyReason, Element, Engine, Error, Exposure, FromJs, Handle, JsArrayBuffer,
    JsTypedArray, Local, ManuallyExternalizedBuffer, ScriptValue, TypedElement, U8Clamped, ViewState,
};
pub use rquickjs;
pub use script::{Throw, collect, is_module, run_job, script_site};
pub use typed::RquickjsElement;

/// How this adapter names its engine, in errors and to [`offheap::IsolateId::engine`].
const ENGINE: &str = "QuickJS";

/// The version of QuickJS-NG that rquickjs 0.14.0 carries.
pub const QUICKJS_VERSION: &str = "0.16.2";

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/from-rquickjs.md")]
    mod from_rquickjs {}
    #[doc = include_str!("../../../docs/manually-externalized-buffer.md")]
    mod manually_externalized_buffer {}
    #[doc = include_str!("../../../docs/resizable.md")]
    mod resizable {}
}
