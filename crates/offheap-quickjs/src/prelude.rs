//! What a function of rquickjs that takes or returns memory needs: `use offheap_quickjs::prelude::*`.
//!
//! | an argument | is |
//! |---|---|
//! | [`Buffer`] | the store of any buffer; of a view, the part that it shows |
//! | [`Shared`] | the store of a SharedArrayBuffer |
//! | [`Taken`] | the memory of an ArrayBuffer, which is detached; a view must show all of its buffer |
//! | [`Copied<T>`](Copied) | a `Vec` with a copy of a typed array; `Copied<u8>` of any buffer or view |
//!
//! | a result | is in script |
//! |---|---|
//! | [`Buffer`], [`Shared`] | an ArrayBuffer or a SharedArrayBuffer over the store |
//! | [`TypedArrayOf<T>`](TypedArrayOf) | a typed array over the `Vec`'s own memory |
//! | [`FrozenOrCopy`] | an immutable ArrayBuffer: over the memory in an [`Isolate`](crate::Isolate), elsewhere over a copy |
//!
//! Each has its value as a public field, and converts from it. They work in `Function::new`, in functions and methods
//! with rquickjs's macros, and in async functions.
//!
//! [`OrThrow`] throws an error of offheap with its class and code. Without it, if a function uses only `?` or returns
//! `Result<_, offheap_quickjs::Error>`, script sees an `Error` without a code, whose message begins with `IO Error: `.
//! [`Caught`] says what script threw, and where.

pub use crate::newtypes::{Buffer, Copied, FrozenOrCopy, Shared, Taken, TypedArrayOf};
pub use crate::{BackingStoreExt, Caught, FrozenStoreExt, OrThrow, SharedStoreExt, Throw, UniqueStoreExt};
