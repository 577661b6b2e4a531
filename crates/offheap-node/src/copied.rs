//! Mode *copy*: the host allocates, and bytes are copied in both directions. The other safe mode copies here too.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap::BackingStore;
use offheap_engine::{Window, in_finalizer, refused_in_finalizer};

use crate::sys::{Object, host_memory};
use crate::{CopyReason, Error, Exposure, Incoming, engine};

/// The error of a function that does not copy.
#[cold]
pub(crate) fn refused(reason: CopyReason) -> Error {
    let what = "expose this memory without a copy, which `expose_or_copy` makes";
    Error::Unsupported { engine: engine(), what, instead: reason.text() }
}

/// [`crate::expose`] in this mode.
pub(crate) fn expose<'env>(_env: &'env Env, _store: &BackingStore) -> Result<Unknown<'env>, Error> {
    Err(refused(CopyReason::NoExternalMemory))
}

/// [`crate::expose_or_copy`] in this mode.
pub(crate) fn expose_or_copy<'env>(env: &'env Env, store: &BackingStore) -> Result<(Unknown<'env>, Exposure), Error> {
    if in_finalizer() {
        return Err(refused_in_finalizer(engine()));
    }
    copy_out(env, store, CopyReason::NoExternalMemory)
}

/// A buffer of the host with the bytes of `store`: a SharedArrayBuffer if the store is shared.
pub(crate) fn copy_out<'env>(
    env: &'env Env,
    store: &BackingStore,
    reason: CopyReason,
) -> Result<(Unknown<'env>, Exposure), Error> {
    let buffer = match store.kind().is_shared() {
        true => host_memory::shared_copy(env, store)?,
        false => host_memory::array_buffer(env, store)?,
    };
    Ok((buffer, Exposure::Copied { reason }))
}

/// [`crate::externalize`] in this mode.
#[track_caller]
pub(crate) fn externalize(env: &Env, value: &Unknown<'_>) -> Result<Incoming, Error> {
    if in_finalizer() {
        return Err(refused_in_finalizer(engine()));
    }
    copy_in(&Object::of(env, value)?)
}

/// A store with a copy of what a buffer or view shows.
#[track_caller]
pub(crate) fn copy_in(object: &Object<'_>) -> Result<Incoming, Error> {
    let window = object.window()?;
    let mut view = Window::Buffer.of(object.copy()?)?;
    if let Window::View { element, byte_offset, .. } = window {
        (view.element, view.byte_offset) = (element, byte_offset);
    }
    Ok(Incoming { view, exposure: Exposure::Copied { reason: CopyReason::HostFrees } })
}
