//! What every adapter has in common: the words for an engine's buffers, and the verbs that tools use.
//!
//! A program that embeds QuickJS or V8 uses the adapter for it, whose API feels like that engine's. [`Engine`] is for
//! tools that run on any of them: the conformance suite, the command, and random operation sequences against the model
//! engine of the crate `offheap-model`.
#![deny(unsafe_code)]

mod capabilities;
mod engine;
mod error;
mod exposure;
mod externalized;
mod finalizer;
mod handle;
mod local;
pub mod memory;
mod slots;
mod sync;

pub use capabilities::Capabilities;
pub use engine::{BufferState, Engine, ScriptValue, ViewState, unexpected_value};
pub use error::Error;
pub use exposure::{CopyReason, Exposure};
pub use externalized::ManuallyExternalizedBuffer;
pub use finalizer::{refused_in_finalizer, run_finalizer};
pub use handle::{Handle, JsArrayBuffer, JsTypedArray, RootTable};
pub use local::Local;
pub use offheap;
pub use offheap::adapter::in_finalizer;
pub use slots::Slots;
