//! UNSAFE: guards, copies, atomics and holds, which lend the bytes of a store to Rust and to engines.
//!
//! It stands above the stores and above `raw`, which does not depend on it. The marks and claims of `raw` keep other users
//! away. Each guard holds a mark for as long as it lends, and borrows the scope that keeps script away. An engine keeps a
//! [`Hold`] for each of its buffers.
#![allow(unsafe_code, reason = "slices and cells of memory that is marked, pointers that an engine keeps")]

mod atomic_slice;
mod atomics;
mod between;
mod copies;
mod engine;
mod foreign;
mod guard;
mod hold;
mod lender;
mod script_memory;

use crate::BackingStore;
use crate::raw::View;

pub use atomic_slice::{AtomicInteger, AtomicSlice};
pub use atomics::AtomicElement;
pub use copies::copy_from_slice_in;
pub use engine::{engine_released, engine_store, growing_engine_store, shared_engine_memory};
pub use foreign::DeleterCallback;
pub use guard::{Cells, ReadGuard, WriteGuard, bytes_in, bytes_mut_in, cells_in};
pub use hold::{Hold, frees_bytes};
pub use lender::Lender;

impl BackingStore {
    /// A view as a handle.
    pub(crate) fn of_view(view: &View) -> &BackingStore {
        // SAFETY: I-LAYOUT: a `BackingStore` is a `View` (`repr(transparent)`), and the lifetime stays the same.
        unsafe { &*std::ptr::from_ref(view).cast::<BackingStore>() }
    }
}
