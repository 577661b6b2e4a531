//! offheap on QuickJS-NG, through rquickjs.
#![deny(unsafe_code)]

mod detach;
mod engine;
mod extension;
mod isolate;
mod scope;
mod script;
mod sys;

pub use engine::QuickJsEngine;
pub use extension::{BackingStoreExt, FrozenStoreExt, detach};
pub use isolate::{Isolate, IsolateBuilder};
pub use offheap;
pub use offheap_engine::{
    BufferState, Capabilities, CopyReason, Engine, Error, Exposure, Handle, JsArrayBuffer, ManuallyExternalizedBuffer,
    ScriptValue,
};
pub use rquickjs;
pub use scope::{Local, Scope};
pub use script::{Throw, collect, is_module, script_site};

/// How this adapter names its engine, in errors and to [`offheap::IsolateId::engine`].
const ENGINE: &str = "QuickJS";

/// The version of QuickJS-NG that rquickjs 0.14.0 carries.
pub const QUICKJS_VERSION: &str = "0.16.2";
