//! New memory and mapped files, as buffers.

use napi::bindgen_prelude::Unknown;
use napi::{Env, Result};
use napi_derive::napi;
use offheap_node::offheap::{BackingStore, MapMode, Mapped, UniqueStore, exit_when_a_mapped_file_is_cut_short};
use offheap_node::{Error, expose_or_copy};

use crate::errors::exception;
use crate::place::{Place, at};
use crate::sys::expose_file;

/// What a shell reports for a process that SIGBUS has ended.
const STATUS_AFTER_CUT: i32 = 128 + 7;

/// An ArrayBuffer of zeros.
#[napi]
pub fn allocate<'env>(env: &'env Env, byte_length: f64, place: Option<Place>) -> Result<Unknown<'env>> {
    let made = || -> std::result::Result<_, Error> {
        let store = BackingStore::from(UniqueStore::zeroed(byte_length as usize)?);
        Ok(expose_or_copy(env, &store)?.0)
    };
    at(place.as_ref(), made).map_err(|error| exception(env, error))
}

/// A buffer over a file, or over the part of it that begins at `offset`. A `length` that is not there is the rest.
#[napi]
pub fn map_file<'env>(
    env: &'env Env,
    path: String,
    writes_through: bool,
    offset: f64,
    length: Option<f64>,
    place: Option<Place>,
) -> Result<Unknown<'env>> {
    let mode = if writes_through { MapMode::ReadWrite } else { MapMode::CopyOnWrite };
    // Script cannot be told of it otherwise: there is no error in the middle of an access to memory.
    exit_when_a_mapped_file_is_cut_short(STATUS_AFTER_CUT);
    let mapped = || -> std::result::Result<_, Error> {
        let start = offset as usize;
        let file = match length {
            None => Mapped::open_part(&path, mode, start..),
            Some(length) => Mapped::open_part(&path, mode, start..start.saturating_add(length as usize)),
        };
        expose_file(env, file?.store())
    };
    at(place.as_ref(), mapped).map_err(|error| exception(env, error))
}
