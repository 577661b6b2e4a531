//! `ArrayBuffer` and `SharedArrayBuffer`.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap::SharedStore;

use super::held::{Held, store_type, unshared_type};
use crate::sys::Sort;
use crate::sys::traits::{Passed, passed};
use crate::{Error, engine, expose};

/// An ArrayBuffer of script as its store, or a store as an ArrayBuffer. See the [module](super).
///
/// ```no_run
/// use offheap_node::prelude::*;
/// use offheap_node::{Error, napi};
/// use offheap_node::napi::Env;
///
/// // #[napi]
/// fn zeros(env: Env, byte_length: u32) -> napi::Result<ArrayBuffer> {
///     ArrayBuffer::try_from(vec![0; byte_length as usize]).or_throw(&env)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ArrayBuffer(pub(super) Held);

store_type!(ArrayBuffer);
unshared_type!(ArrayBuffer, u8);
passed!(ArrayBuffer);

impl Passed for ArrayBuffer {
    const NAME: &'static str = "ArrayBuffer";

    fn is(sort: Sort) -> bool {
        sort == Sort::ArrayBuffer
    }

    #[track_caller]
    fn from_script(value: &Unknown<'_>) -> Result<Self, Error> {
        Held::of(value, Self::is, Self::NAME).map(ArrayBuffer)
    }

    fn into_script(self, env: &Env) -> Result<Unknown<'_>, Error> {
        if self.kind().is_shared() {
            let (what, instead) = ("make an ArrayBuffer over shared memory", "return a `SharedArrayBuffer`");
            return Err(Error::Unsupported { engine: engine(), what, instead });
        }
        self.0.into_buffer(env)
    }
}

/// A SharedArrayBuffer of script as its store, or shared memory as a SharedArrayBuffer. See the [module](super).
///
/// Where the host has no SharedArrayBuffers over memory of Rust (Deno, Node 20 in the mode *external*, the mode *copy*), a copy comes
/// in, unless it is a store of ours, and nothing goes out: the value throws a TypeError with the code `UNSUPPORTED`. A copy would not
/// be shared. [`expose_or_copy`](crate::expose_or_copy) makes one for who wants it.
#[derive(Clone, Debug)]
pub struct SharedArrayBuffer(pub(super) Held);

store_type!(SharedArrayBuffer);
passed!(SharedArrayBuffer);

impl From<SharedStore> for SharedArrayBuffer {
    fn from(store: SharedStore) -> Self {
        SharedArrayBuffer(store.as_store().clone().into())
    }
}

impl TryFrom<SharedArrayBuffer> for SharedStore {
    type Error = Error;

    /// The shared memory, for its atomics.
    ///
    /// # Errors
    /// [`Error::Memory`] if it is a copy, which is not shared.
    fn try_from(buffer: SharedArrayBuffer) -> Result<Self, Error> {
        Ok(SharedStore::try_from(buffer.into_store())?)
    }
}

impl Passed for SharedArrayBuffer {
    const NAME: &'static str = "SharedArrayBuffer";

    fn is(sort: Sort) -> bool {
        sort == Sort::SharedArrayBuffer
    }

    #[track_caller]
    fn from_script(value: &Unknown<'_>) -> Result<Self, Error> {
        Held::of(value, Self::is, Self::NAME).map(SharedArrayBuffer)
    }

    fn into_script(self, env: &Env) -> Result<Unknown<'_>, Error> {
        if !self.kind().is_shared() {
            let (what, instead) = ("make a SharedArrayBuffer over unshared memory", "return an `ArrayBuffer`");
            return Err(Error::Unsupported { engine: engine(), what, instead });
        }
        // A copy would not be shared, and nothing would say so.
        expose(env, &self.0.store)
    }
}
