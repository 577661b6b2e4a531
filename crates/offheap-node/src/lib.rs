//! offheap in Node, Deno and Bun: memory that an addon and script share without copying.
//!
//! An addon that is written with the crate `napi` depends on this crate. [`expose`] makes an ArrayBuffer over a
//! [`BackingStore`](offheap::BackingStore), and [`externalize`] returns the store of any buffer that script passes.
//!
//! ```
//! use napi::Env;
//! use napi::bindgen_prelude::Unknown;
//! use offheap_node::offheap::BackingStore;
//! use offheap_node::{Error, expose, externalize};
//!
//! /// A buffer over a `Vec`. V8 drops the `Vec` when nobody uses it any more.
//! fn numbers(env: &Env) -> Result<Unknown<'_>, Error> {
//!     let store = BackingStore::from_owner(vec![1.0_f64, 2.0])?;
//!     expose(env, &store)
//! }
//!
//! /// A store that any thread may keep, whatever script does with the buffer.
//! fn keep(buffer: Unknown<'_>) -> Result<BackingStore, Error> {
//!     Ok(externalize(&buffer)?.view.store)
//! }
//! ```
//!
//! # What the hosts do
//! - They move buffers between their environments without telling anybody, and write into buffers while no script runs. So
//!   memory that script has, or ever had, is [copied, and not lent](offheap::BackingStore::host).
//! - An unshared store has one live buffer at a time, in the whole process.
//! - An owner may be dropped on any thread, also when its environment has ended. `process.exit` drops none.
//! - [`mode`] tells how buffers are made. The page `docs/node.md` of the repository says what each mode does.
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
mod throw;
pub mod types;

pub use environment::{isolate, release_collected};
pub use external::{Stats, stats};
pub use incoming::{Incoming, externalize};
pub use mode::{Decision, Host, Mode, NotTried, Reason, mode};
pub use napi;
pub use offheap;
pub use offheap_engine::{CopyReason, Element, Error, Exposure, ExternalizedView};
pub use out::{expose, expose_or_copy, filled, give};
pub use sys::{expose_mapped, to_vec, with_bytes, with_bytes_mut};
pub use throw::OrThrow;

/// What a file of `#[napi]` functions needs: `use offheap_node::prelude::*;`. Its types hide those of napi's prelude that have the
/// same names.
pub mod prelude {
    pub use crate::OrThrow;
    pub use crate::types::{
        ArrayBuffer, BigInt64Array, BigUint64Array, Buffer, Float32Array, Float64Array, Int8Array, Int16Array,
        Int32Array, SharedArrayBuffer, Uint8Array, Uint8ClampedArray, Uint16Array, Uint32Array,
    };
}

/// The name of the host, in errors and in [`offheap::IsolateId::engine`]. Before the first call with an environment, which finds out
/// the host, it is that of Node.
#[cold]
fn engine() -> &'static str {
    load::known_host().name()
}

/// Refuses memory that does not begin at a multiple of 8.
#[inline]
fn check_aligned(store: &offheap::BackingStore) -> Result<(), Error> {
    if offheap_engine::is_aligned(store) { Ok(()) } else { offheap_engine::check_aligned(engine(), store) }
}
