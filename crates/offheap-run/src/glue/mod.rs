//! For the glue of an engine: everything about `nativeModule` that does not depend on one.
//!
//! A glue implements [`Call`] over the engine's values, and makes a function of each of the [`primitives`]. It
//! evaluates [`PRELUDE`], a function, and calls it with an object of those functions by name, the [names of mapped
//! files](State::mapped_names) and the [arguments](State::arguments). After that the global `nativeModule` is there.
//! What the prelude returns is for [`INSPECT`], which makes `console`, where an engine has none of its own.
//!
//! The modules [`quickjs`](crate::quickjs) and `v8` of this crate are such glues.

mod arguments;
mod failure;
mod freed;
mod parts;
mod primitives;
mod state;

pub use arguments::Argument;
pub use failure::Failure;
#[cfg(any(feature = "quickjs", feature = "v8"))]
pub(crate) use primitives::unknown_site;
pub use primitives::{Call, Outcome, Primitive, Thrown, primitives};
pub use state::{Limits, State};

/// A script of this crate.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The name to evaluate it by. Stacks leave out files whose names begin with `offheap:`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Makes `nativeModule`. The value of the script is a function `(primitives, mappedNames, args)`. Each primitive is
/// called with the prelude's `internals` as `this`, in which [`Call::internal`] looks up functions.
pub const PRELUDE: Source = Source { name: "offheap:prelude", text: include_str!("../js/prelude.js") };

/// Makes `console`. The value of the script is a function `(given, engine)`: `given` is what [`PRELUDE`] returned,
/// `engine` what [`FRAMES`] returned. It returns a function that describes any thrown value as a text.
pub const INSPECT: Source = Source { name: "offheap:inspect", text: include_str!("../js/inspect.js") };

/// Makes the stacks of errors from the engine's call sites. The value of the script is a function `(host)`; the head of
/// the text names the functions that `host` has.
pub const FRAMES: Source = Source { name: "offheap:frames", text: include_str!("../js/frames.js") };

/// The ES module "offheap", which exports the members of the global `nativeModule`.
pub const OFFHEAP_MODULE: Source = Source { name: "offheap", text: include_str!("../js/offheap.js") };
