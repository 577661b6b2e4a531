//! Mode *external*: Node-API's external buffers.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap::BackingStore;

use crate::{ENGINE, Error, Exposure, Incoming};

const NOT_YET: Error = Error::EngineFailed { engine: ENGINE, attempted: "do what is not written yet: external" };

pub(crate) fn expose<'env>(_env: &'env Env, _store: &BackingStore) -> Result<Unknown<'env>, Error> {
    Err(NOT_YET)
}

pub(crate) fn expose_or_copy<'env>(_env: &'env Env, _store: &BackingStore) -> Result<(Unknown<'env>, Exposure), Error> {
    Err(NOT_YET)
}

pub(crate) fn externalize(_env: &Env, _value: &Unknown<'_>) -> Result<Incoming, Error> {
    Err(NOT_YET)
}
