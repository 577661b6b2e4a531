//! Gives scripts native memory: the global `nativeModule`, `console`, and ES modules, on QuickJS and on V8.
//!
//! The command `offheap run` is a thin program over this crate. Use it to offer the same functions to the scripts of your own
//! program. `offheap.d.ts`, beside this crate's `Cargo.toml`, has the types of everything that a script is given.
//!
//! | feature | adds |
//! |---|---|
//! | `quickjs` (default) | [`quickjs`]: QuickJS-NG, through `offheap-quickjs` |
//! | `v8` | `v8`: V8, through `offheap-v8` |
#![deny(unsafe_code)]

pub mod glue;
#[cfg(feature = "quickjs")]
pub mod quickjs;
#[cfg(feature = "v8")]
pub mod v8;
pub mod visible;

mod console;
mod error;
mod native_module;
mod script;
mod uncaught;
#[cfg(any(feature = "quickjs", feature = "v8"))]
mod unhandled;

pub use console::Stream;
pub use error::Error;
pub use native_module::NativeModule;
pub use script::Script;
pub use uncaught::Uncaught;
