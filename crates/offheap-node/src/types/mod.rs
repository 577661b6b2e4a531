//! Arguments and results of `#[napi]` functions, with the names that JavaScript has for them, so that a generated `index.d.ts`
//! says the right thing.
//!
//! Each type is a [`BackingStore`](offheap::BackingStore), to which it dereferences, and so it is `Send` and has no lifetime: it may
//! be in an `async fn`, in a `Task`, in a field of `#[napi(object)]`, and on any thread. It stays valid across `transfer()`, a post
//! to a worker, the end of that worker, and the end of its environment.
//!
//! **In**, a type takes the object of its name, as [`externalize`](crate::externalize) does: it is script's
//! memory itself, or a copy where nobody can keep that memory. `exposure()` says which, and why. A view has the bytes that it shows. **Out**, it is the
//! object of its name over the store, as [`give`](crate::give) makes it if nobody else has the store, and else
//! [`expose_or_copy`](crate::expose_or_copy).
//!
//! Script's own buffer cannot come out again while it lives (`OneBuffer`): give script the object that it passed, as a value of
//! napi's, or a copy.

mod array_buffer;
mod buffer;
mod held;
mod typed;

pub use array_buffer::{ArrayBuffer, SharedArrayBuffer};
pub use buffer::Buffer;
pub use typed::{
    BigInt64Array, BigUint64Array, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Uint8Array,
    Uint8ClampedArray, Uint16Array, Uint32Array,
};
