//! For the glue of an engine: everything about `nativeModule` that does not depend on one.
//!
//! A glue implements [`Call`] over the engine's values, and makes a function of each of the [`primitives`]. It evaluates
//! [`PRELUDE`], a function, and calls it with an object of those functions by name, the
//! [names of mapped files](State::mapped_names) and the [arguments](State::arguments). After that the global `nativeModule` is there. What
//! the prelude returns is for [`INSPECT`], which makes `console`, where an engine has none of its own.
//!
//! The modules [`quickjs`](crate::quickjs) and `v8` of this crate are such glues.

mod arguments;
mod failure;
mod freed;
mod primitives;
mod state;

pub use arguments::Argument;
pub use failure::Failure;
pub use primitives::{Call, Outcome, Primitive, Thrown, primitives};
pub use state::{Limits, State};

/// The script that makes `nativeModule`. Its value is a function `(primitives, mappedNames, args)`. Each primitive is called
/// with the prelude's `internals` as `this`, in which [`Call::internal`] looks up functions.
pub const PRELUDE: &str = include_str!("../js/prelude.js");

/// The script that makes `console`. Its value is a function `(given, engine)` of what the prelude returned and what
/// [`FRAMES`] returned; the function that this returns describes any value as a text, in the way of `console.log`.
pub const INSPECT: &str = include_str!("../js/inspect.js");

/// The script that makes the stacks of errors from the engine's call sites. Its value is a function of an object with the
/// functions that the head of the file names.
pub const FRAMES: &str = include_str!("../js/frames.js");

/// The ES module "offheap", which exports the members of the global `nativeModule`.
pub const OFFHEAP_MODULE: &str = include_str!("../js/offheap.js");
