//! Code that all adapters share: the words for an engine's buffers, one [`Isolate`] and one [`Scope`] for every
//! engine, and the operations that tools use.
//!
//! A program that embeds QuickJS or V8 uses the adapter for that engine, which re-exports the parts of this crate
//! that a program needs. An adapter implements [`Host`]. [`Engine`] is for tools that run on any engine: the
//! conformance suite, the command, and random operation sequences, which are compared with the model engine of
//! `offheap-model`.
#![deny(unsafe_code)]

mod capabilities;
mod checks;
mod detached;
mod element;
mod engine;
mod error;
mod exposure;
mod externalized;
mod finalizer;
mod from_js;
mod function;
mod guards;
mod handle;
mod host;
mod isolate;
mod local;
pub mod memory;
#[cfg(feature = "napi")]
mod napi;
mod retainers;
#[cfg(feature = "rquickjs")]
mod rquickjs;
mod scope;
mod script_error;
mod slots;
mod source;
mod sync;
mod table;
mod take;
mod tool;
mod value;
mod view;

pub use capabilities::Capabilities;
pub use checks::{check_aligned, check_mutable, check_transferable, check_unshared, is_aligned};
pub use detached::{DetachedIsWrongArgument, detached_is_wrong_argument, tell_use_after_detach};
pub use element::{Element, TypedElement, U8Clamped, copied_elements, element_count};
pub use engine::{BufferState, Engine, ScriptValue, ViewState};
pub use error::Error;
pub use exposure::{CopyReason, Exposure};
pub use externalized::ManuallyExternalizedBuffer;
pub use finalizer::{refused_in_finalizer, run_finalizer};
pub use from_js::FromJs;
pub use function::{Arguments, NativeFunction, PassedArguments};
pub use guards::{HasIsolate, cells, copy_in, copy_to};
pub use handle::{Handle, HasBytes, JsArrayBuffer, JsArrayBufferView, JsFunction, JsObject};
pub use host::{ByIsolate, Host, UseOfBytes};
pub use isolate::Isolate;
pub use local::Local;
pub use offheap;
pub use offheap::adapter::in_finalizer;
pub use retainers::{PathStep, Retainers, RetainingPath, Sought, SoughtStore};
pub use scope::Scope;
pub use script_error::ScriptError;
pub use source::Source;
pub use table::{Rooted, Roots};
pub use take::{Takeable, take};
pub use value::{FromScript, IntoArguments, JsType, ObjectSort, ToScript, Value, cannot_pass};
pub use view::{ExternalizedView, Window};
