//! Mode *stores*: buffers and stores over V8's own backing stores, which V8 counts.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap::{BackingStore, SharedStore, UniqueStore, adapter};
use offheap_engine::{Window, in_finalizer, refused_in_finalizer};

use crate::environment::Process;
use crate::sys::heap_end;
use crate::sys::napi::type_of;
use crate::sys::{Block, Buffer, Handle, Memory, TABLE, V8, check_in_bounds, store_of, wrap};
use crate::{CopyReason, Error, Exposure, Incoming, check_aligned, engine};

/// The largest length of a buffer of V8 in bytes (`ArrayBuffer::kMaxByteLength` on 64 bits, without the sandbox).
const MAX_BYTE_LENGTH: usize = (1 << 53) - 1;

/// Up to this length, V8 makes a buffer with a copy faster than a block over memory of Rust (`npm run bench`). Its sweeper then has
/// less to free, which another thread has just made.
const SMALL: usize = 1 << 10;

/// V8's functions and what is kept for the process, for a call that may use the host.
#[inline]
fn begin(env: &Env) -> Result<(V8, &'static Process), Error> {
    if in_finalizer() {
        return Err(refused_in_finalizer(engine()));
    }
    let v8 = V8::in_use()?;
    heap_end::watch(env)?;
    heap_end::free_waiting();
    Ok((v8, Process::get()?))
}

/// Whether V8 makes a buffer with so many bytes faster than one over memory of Rust. Not where it makes none: in a finalizer, and
/// outside of the host's calls.
pub(crate) fn is_small(byte_length: usize) -> bool {
    byte_length <= SMALL && !in_finalizer() && V8::in_use().is_ok_and(|v8| v8.isolate().is_some())
}

/// The reason why script gets a copy of this store's bytes.
#[inline]
fn reason_to_copy(store: &BackingStore) -> Option<CopyReason> {
    match store.kind() {
        kind if kind.is_read_only() => Some(CopyReason::HostWrites),
        kind if kind.is_resizable_by_rust() => Some(CopyReason::Resizable),
        _ => None,
    }
}

/// [`crate::expose`] in this mode.
#[inline]
pub(crate) fn expose<'env>(env: &'env Env, store: &BackingStore) -> Result<Unknown<'env>, Error> {
    let (v8, process) = begin(env)?;
    let instead = "copy with `expose_or_copy`";
    match reason_to_copy(store) {
        None => v8.buffer_over(env, block_over(v8, process, store)?),
        Some(CopyReason::Resizable) => {
            Err(Error::Unsupported { engine: engine(), what: "make a buffer over resizable memory of Rust", instead })
        }
        Some(_) => Err(Error::Unsupported {
            engine: engine(),
            what: "make a buffer over read-only memory: the host's own functions write into immutable buffers",
            instead,
        }),
    }
}

/// [`crate::expose_or_copy`] in this mode.
#[inline]
pub(crate) fn expose_or_copy<'env>(env: &'env Env, store: &BackingStore) -> Result<(Unknown<'env>, Exposure), Error> {
    let Some(reason) = reason_to_copy(store) else { return Ok((expose(env, store)?, Exposure::External)) };
    // A store of ours, because V8 ends the process if it has no memory for a buffer.
    let mut copied = Ok(());
    let copy = UniqueStore::filled(store.byte_length(), |into| copied = store.copy_to_slice(0, into))?;
    copied?;
    Ok((expose(env, &copy.into())?, Exposure::Copied { reason }))
}

/// A block of V8 over the memory of `store`.
#[inline]
fn block_over(v8: V8, process: &Process, store: &BackingStore) -> Result<Block, Error> {
    let byte_length = store.byte_length();
    if byte_length > MAX_BYTE_LENGTH {
        let limit = MAX_BYTE_LENGTH;
        return Err(Error::TooLargeForEngine { engine: engine(), store: Some(store.id()), byte_length, limit });
    }
    check_aligned(store)?;
    if let Some(block) = growable_block(store) {
        return Ok(block);
    }
    match wrap(v8, process, store) {
        // V8 may have released script's buffer since.
        Err(Error::Memory(offheap::Error::OneBuffer { .. })) => {
            TABLE.end_released_of(store);
            wrap(v8, process, store)
        }
        wrapped => wrapped,
    }
}

/// V8's own block if `store` is all of a growable memory that script made. A buffer over that block grows with the first
/// one. Shared memory does not count its buffers, and the block keeps it.
#[inline]
fn growable_block(store: &BackingStore) -> Option<Block> {
    let may_be = store.kind().is_shared() && store.kind().is_of_engine();
    may_be.then(|| TABLE.block_of(store)).flatten().filter(Block::is_resizable)
}

/// [`crate::externalize`] in this mode.
#[track_caller]
#[inline]
pub(crate) fn externalize(env: &Env, value: &Unknown<'_>) -> Result<Incoming, Error> {
    let (v8, process) = begin(env)?;
    let Some(handle) = Handle::of(value) else { return Err(not_a_buffer(value)) };
    // The fast path: most values are ArrayBuffers.
    let (buffer, is_view) = match v8.as_array_buffer(handle) {
        Some(buffer) => (buffer, false),
        None => match v8.buffer_of_view(handle) {
            Some(buffer) => (buffer, true),
            None => (v8.as_buffer(handle).ok_or_else(|| not_a_buffer(value))?, false),
        },
    };
    let window = if is_view { v8.window(env, handle) } else { Window::Buffer };
    if let Window::View { element, byte_length: 0, .. } = window
        && matches!(buffer, Buffer::Unshared(_))
        && !v8.is_detached(buffer)
    {
        check_in_bounds(env, handle.raw(), element.is_none())?;
    }
    let (store, exposure) = match store_of(v8, buffer) {
        Some(store) => (store, Exposure::External),
        None => first_store_of(v8, env, process, buffer)?,
    };
    adapter::note_externalized(&store, process.registration().id());
    Ok(Incoming { view: window.of(store)?, exposure })
}

/// The store of a buffer that [`store_of`] did not find. It does not look for SharedArrayBuffers.
#[track_caller]
fn first_store_of(v8: V8, env: &Env, process: &Process, buffer: Buffer<'_>) -> Result<(BackingStore, Exposure), Error> {
    if v8.is_detached(buffer) {
        return Err(Error::Detached { engine: engine(), attempted: "externalize" });
    }
    let Some(memory) = Memory::of(v8, buffer) else {
        return match v8.byte_length(buffer) {
            0 => Ok((empty(buffer)?, Exposure::External)),
            // V8 is detaching the buffer, and this is called from the drop of its memory's owner.
            _ => Err(refused_in_finalizer(engine())),
        };
    };
    if matches!(buffer, Buffer::Shared(_))
        && let Some(store) = memory.store()
    {
        return Ok((store, Exposure::External));
    }
    if memory.may_shrink() {
        return Ok((memory.copy()?.into(), Exposure::Copied { reason: CopyReason::ScriptResizes }));
    }
    if memory.may_be_lent(env) {
        return Ok((memory.copy()?.into(), Exposure::Copied { reason: CopyReason::OfAnotherAddon }));
    }
    Ok((memory.adopt(process)?, Exposure::External))
}

/// The store of a buffer that has no memory.
#[track_caller]
fn empty(buffer: Buffer<'_>) -> Result<BackingStore, Error> {
    Ok(match buffer {
        Buffer::Unshared(_) => UniqueStore::zeroed(0)?.into(),
        Buffer::Shared(_) => SharedStore::zeroed(0)?.into(),
    })
}

#[cold]
fn not_a_buffer(value: &Unknown<'_>) -> Error {
    Error::NotAnArrayBuffer { engine: engine(), found: type_of(value).to_owned() }
}
