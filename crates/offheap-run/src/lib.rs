//! Gives scripts native memory: the global `nativeModule`, `console`, and ES modules, on QuickJS and on V8.
//!
//! The command `offheap run` is a thin program over this crate. Use it to give the scripts of your own program the same
//! functions, in one of three ways:
//! - `run` ([`quickjs::run`], `v8::run`) runs one script in an isolate of its own;
//! - [`Runner`] builds an isolate with your settings and runs any number of scripts in it;
//! - `install` ([`quickjs::install`], `v8::install`) defines `nativeModule` and `console` in a context that you have, and
//!   leaves running scripts to you.
//!
//! ```
//! use offheap_ledger::Level;
//! use offheap_run::{NativeModule, Script};
//!
//! # #[cfg(feature = "quickjs")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ledger = offheap_ledger::install(Level::Sites)?;
//! let module = NativeModule::new(ledger).arguments(["16"]).print_with(|_, line| {
//!     assert_eq!(line, "16 zeroed bytes");
//!     Ok(())
//! });
//! let text = "const memory = nativeModule.allocateMemory(+nativeModule.args[0]);
//!     console.log(memory.byteLength, 'zeroed bytes');";
//! offheap_run::quickjs::run(module, &Script::new("zeros.js", text))?;
//!
//! // The script never called `nativeModule.free(memory)`.
//! let report = ledger.report();
//! assert_eq!(report.balance.leaked, 1);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "quickjs"))]
//! # fn main() {}
//! ```
//!
//! `offheap.d.ts`, beside this crate's `Cargo.toml`, has the types of everything that a script is given. The module
//! [`glue`] is for those who bring an engine of their own.
//!
//! | feature | adds |
//! |---|---|
//! | `quickjs` (default) | [`quickjs`]: QuickJS-NG, through `offheap-quickjs` |
//! | `v8` | `v8`: V8, through `offheap-v8` |
#![forbid(unsafe_code)]

pub mod glue;
#[cfg(feature = "quickjs")]
pub mod quickjs;
#[cfg(feature = "v8")]
pub mod v8;

mod console;
#[cfg(any(feature = "quickjs", feature = "v8"))]
mod drive;
mod error;
#[cfg(any(feature = "quickjs", feature = "v8"))]
mod files;
mod native_module;
mod runner;
mod script;
mod uncaught;
#[cfg(any(feature = "quickjs", feature = "v8"))]
mod unhandled;

pub use console::Stream;
pub use error::Error;
pub use native_module::NativeModule;
/// Makes foreign text safe to print.
pub use offheap_report::visible;
pub use runner::{Runner, Scripts};
pub use script::Script;
pub use uncaught::Uncaught;

#[cfg(all(doctest, feature = "quickjs"))]
mod pages {
    #[doc = include_str!("../../../docs/command.md")]
    mod command {}
}
