//! `Buffer`.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap_engine::Element;

use super::held::{Held, store_type, unshared_type};
use crate::Error;
use crate::sys::traits::{Passed, passed};
use crate::sys::{Sort, node_buffer};

/// Node's `Buffer` as the store of the bytes that it shows, or a store as a `Buffer`. It takes any Uint8Array, as Node's own functions
/// do. See the [module](super).
///
/// Small buffers that Node makes are parts of a pool, so the store is a part of a larger one.
#[derive(Clone, Debug)]
pub struct Buffer(pub(super) Held);

store_type!(Buffer);
unshared_type!(Buffer, u8);
passed!(Buffer);

impl Passed for Buffer {
    const NAME: &'static str = "Buffer";

    fn is(sort: Sort) -> bool {
        sort == Sort::View(Some(Element::Uint8))
    }

    #[track_caller]
    fn from_script(value: &Unknown<'_>) -> Result<Self, Error> {
        Held::of(value, Self::is, Self::NAME).map(Buffer)
    }

    fn into_script(self, env: &Env) -> Result<Unknown<'_>, Error> {
        let buffer = self.0.into_buffer(env)?;
        node_buffer(env, &buffer)
    }
}
