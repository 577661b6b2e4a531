//! Arrow's columns as backing stores of offheap, and JavaScript functions over them.
//!
//! ```text
//! arrow_buffer::Buffer ──► AlignedStore ──► FrozenStore ──► an immutable ArrayBuffer, typed arrays over the column
//! Vec<T> ──► BackingStore ──► an ArrayBuffer that script fills ──► Vec<T> ──► Buffer, which Arrow can write again
//! ```
//!
//! Nothing is copied on either way. This part has no engine in it, and works with every adapter:
//! ```
//! use arrow_buffer::Buffer;
//! use offheap::BackingStore;
//!
//! let store = BackingStore::from_owner(vec![0.5f64; 4])?;
//! // … script gets `store`, fills it, and its buffer is detached …
//! let filled: Vec<f64> = store.try_into_unique()?.try_into_owner()?;
//! let column = Buffer::from_vec(filled);
//! let mut writable = column.into_mutable().unwrap(); // the same memory: nobody else has it
//! writable.typed_data_mut::<f64>()[0] = 1.0;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | direction | how |
//! |---|---|
//! | `Buffer` to a store that begins at a multiple of 8 | [`AlignedStore::of`] |
//! | `Vec<T>` that was lent to script, to a `Buffer` | `Buffer::from_vec(store.try_into_unique()?.try_into_owner::<Vec<T>>()?)` |
//! | [`FrozenStore`](offheap::FrozenStore) to `Buffer` | `Buffer::from(store)` |
//! | [`UniqueStore`](offheap::UniqueStore), such as memory that script made, to `Buffer` | `Buffer::try_from(store)?` |
//!
//! Memory that script may still write never turns into a `Buffer`: it has to be taken back first.
//!
//! Arrow's crates are re-exported, because types of two versions of Arrow do not meet. With the feature `v8`, a
//! `ScalarFunction` is a function of JavaScript over the rows of columns, and an `AggregateFunction` one over groups of rows.
#![deny(unsafe_code)]

mod aligned;
#[cfg(feature = "v8")]
mod function;
mod sys;

pub use aligned::AlignedStore;
#[cfg(feature = "v8")]
pub use arrow_array;
pub use arrow_buffer;
#[cfg(feature = "v8")]
pub use arrow_schema;
#[cfg(feature = "v8")]
pub use function::{
    AggregateFunction, AggregateState, Error, Groups, Place, Reason, Role, ScalarFunction, ScalarFunctionBuilder,
};
pub use offheap;
#[cfg(feature = "v8")]
pub use offheap_v8;
