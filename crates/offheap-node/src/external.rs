//! Mode *external*: Node-API's external buffers. A store that went out is found again by its address; other memory of
//! script's is copied.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap::BackingStore;
use offheap::adapter::{self, frees_bytes};
use offheap_engine::{in_finalizer, refused_in_finalizer};

use crate::copied::{copy_in, copy_out, refused};
use crate::environment::Process;
use crate::mode::mode;
use crate::sys::external::{array_buffer_over, has_external_shared, leaked, shared_buffer_over};
use crate::sys::napi::is_main_thread;
use crate::sys::{Environment, Object};
use crate::{CopyReason, Error, Exposure, Host, Incoming, check_aligned, engine};

/// The greatest length of an ArrayBuffer in bytes on Bun (JavaScriptCore's `MAX_ARRAY_BUFFER_SIZE`).
const MAX_BYTE_LENGTH_BUN: usize = 1 << 32;

/// Up to this length, a copy costs less than a finalizer, except on Deno.
const SMALL: usize = 4 << 10;

/// What the safe modes could not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many stores were leaked, because an environment ended under a buffer over them. Script of another environment may
    /// have their memory.
    pub leaked_stores: usize,
    /// How many bytes these stores have.
    pub leaked_bytes: usize,
}

/// What this process could not free in mode [`External`](crate::Mode::External) so far. In the other modes it is nothing.
///
/// Node tells a finalizer that its environment ends, and not whether script sent the memory to another thread before. So
/// the memory of each live buffer of a worker is leaked when the worker ends. Deno counts the references to the memory, so
/// nothing is leaked there. Bun's workers get copies.
pub fn stats() -> Stats {
    let (leaked_stores, leaked_bytes) = leaked();
    Stats { leaked_stores, leaked_bytes }
}

/// The environment and what is kept for the process, for a call that may use the host.
fn begin(env: &Env) -> Result<(Host, &'static Process), Error> {
    if in_finalizer() {
        return Err(refused_in_finalizer(engine()));
    }
    Ok((mode(env).host(), Process::get()?))
}

/// The reason why script gets a copy of this store's bytes.
fn reason_to_copy(host: Host, environment: &Environment, store: &BackingStore) -> Option<CopyReason> {
    let kind = store.kind();
    if kind.is_read_only() {
        return Some(CopyReason::HostWrites);
    }
    if kind.is_resizable_by_rust() {
        return Some(CopyReason::Resizable);
    }
    if kind.is_shared() {
        return (!has_external_shared()).then_some(CopyReason::NoExternalSharedMemory);
    }
    if is_refused_here(host) {
        return Some(CopyReason::WorkerEnds);
    }
    (frees_bytes(store) && environment.is_turn_full()).then_some(CopyReason::LargeTurn)
}

/// [`crate::expose`] in this mode.
pub(crate) fn expose<'env>(env: &'env Env, store: &BackingStore) -> Result<Unknown<'env>, Error> {
    let (host, process) = begin(env)?;
    check_aligned(store)?;
    let environment = Environment::of(env)?;
    match reason_to_copy(host, &environment, store) {
        Some(reason) => Err(refused(reason)),
        None => buffer_over(env, host, process, &environment, store),
    }
}

/// [`crate::expose_or_copy`] in this mode.
pub(crate) fn expose_or_copy<'env>(env: &'env Env, store: &BackingStore) -> Result<(Unknown<'env>, Exposure), Error> {
    let (host, process) = begin(env)?;
    let environment = Environment::of(env)?;
    match reason_to_copy(host, &environment, store) {
        Some(reason) => copy_out(env, store, reason),
        None => {
            check_aligned(store)?;
            Ok((buffer_over(env, host, process, &environment, store)?, Exposure::External))
        }
    }
}

/// An ArrayBuffer over a mapped file on Deno, which makes no SharedArrayBuffer over memory of native code. The host takes the bytes
/// for unshared ones. Only [`expose_mapped`](crate::expose_mapped) calls this.
pub(crate) fn unshared_over_file<'env>(env: &'env Env, store: &BackingStore) -> Result<Unknown<'env>, Error> {
    let (host, process) = begin(env)?;
    check_aligned(store)?;
    array_buffer_over(env, host, process, store)
}

/// Whether the host makes a buffer with so many bytes faster than one over memory of Rust. Not in a finalizer, where it makes none.
pub(crate) fn is_small(env: &Env, byte_length: usize) -> bool {
    byte_length <= SMALL && mode(env).host() != Host::Deno && !in_finalizer()
}

/// Whether an ArrayBuffer over memory of Rust could dangle, because it is made on this thread.
fn is_refused_here(host: Host) -> bool {
    host == Host::Bun && !is_main_thread()
}

fn buffer_over<'env>(
    env: &'env Env,
    host: Host,
    process: &Process,
    environment: &Environment,
    store: &BackingStore,
) -> Result<Unknown<'env>, Error> {
    let byte_length = store.byte_length();
    if host == Host::Bun && byte_length > MAX_BYTE_LENGTH_BUN {
        let limit = MAX_BYTE_LENGTH_BUN;
        return Err(Error::TooLargeForEngine { engine: engine(), store: Some(store.id()), byte_length, limit });
    }
    if store.kind().is_shared() {
        let buffer = shared_buffer_over(env, environment, host, process, store)?;
        return buffer.ok_or_else(|| refused(CopyReason::NoExternalSharedMemory));
    }
    let buffer = array_buffer_over(env, host, process, store)?;
    if frees_bytes(store) {
        environment.count_in_turn(byte_length);
    }
    Ok(buffer)
}

/// [`crate::externalize`] in this mode.
#[track_caller]
pub(crate) fn externalize(env: &Env, value: &Unknown<'_>) -> Result<Incoming, Error> {
    let (_, process) = begin(env)?;
    let object = Object::of(env, value)?;
    let Some(store) = object.store()? else { return copy_in(&object) };
    adapter::note_externalized(&store, process.registration().id());
    Ok(Incoming { view: object.window()?.of(store)?, exposure: Exposure::External })
}
