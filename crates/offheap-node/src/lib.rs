//! offheap in Node, Deno and Bun: memory that an addon and script share without copying.
//!
//! An addon that is written with the crate `napi` depends on this crate. [`expose`] makes an ArrayBuffer over a
//! [`BackingStore`](offheap::BackingStore), and [`externalize`] returns the store of any buffer that script passes.
//!
//! There is no `#[napi]` function in this crate: every addon that depends on it would export that function.
#![deny(unsafe_code)]

mod copied;
mod environment;
mod external;
mod incoming;
mod load;
mod mode;
mod out;
mod stores;
mod sys;
pub mod types;

pub use environment::release_collected;
pub use incoming::{Incoming, externalize};
pub use mode::{Decision, Host, Mode, NotTried, Reason, mode};
pub use napi;
pub use offheap;
pub use offheap_engine::{CopyReason, Element, Error, Exposure, ExternalizedView};
pub use out::{expose, expose_or_copy};

/// The name of this engine, in errors and in [`offheap::IsolateId::engine`]. It is the same on Deno and Bun, which have
/// Node's API.
const ENGINE: &str = "Node";
