//! ArrayBuffers and SharedArrayBuffers as one type, and access to the bytes of stores in an isolate.

use std::ffi::c_void;
use std::ptr::NonNull;

use bytemuck::NoUninit;
use offheap::adapter::{self, IsolateRegistration};
use offheap::{BackingStore, Bytes, BytesMut, Cells, IsolateId, StoreKind};

use super::block::Block;
use super::lending::check_not_held;
use super::natives;
use super::state::known_isolate_id;
use crate::{BufferState, ENGINE, Error};

/// A buffer of either sort.
#[derive(Clone, Copy)]
pub(crate) enum Buffer<'s> {
    Unshared(v8::Local<'s, v8::ArrayBuffer>),
    Shared(v8::Local<'s, v8::SharedArrayBuffer>),
}

/// What never changes of a buffer.
#[derive(Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) shared: bool,
    pub(crate) immutable: bool,
    /// Where it is resizable.
    pub(crate) max_byte_length: Option<usize>,
}

impl Facts {
    /// Of a fixed-length buffer that script may write.
    pub(crate) const PLAIN: Facts = Facts { shared: false, immutable: false, max_byte_length: None };
    pub(crate) const SHARED: Facts = Facts { shared: true, ..Facts::PLAIN };
    pub(crate) const IMMUTABLE: Facts = Facts { immutable: true, ..Facts::PLAIN };

    pub(crate) const fn resizable(max_byte_length: usize) -> Facts {
        Facts { max_byte_length: Some(max_byte_length), ..Facts::PLAIN }
    }
}

impl<'s> Buffer<'s> {
    /// The buffer that `value` is, or is a view of.
    #[inline]
    pub(crate) fn of(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Result<Self, Error> {
        // Mostly it is one.
        if let Ok(buffer) = v8::Local::<v8::ArrayBuffer>::try_from(value) {
            return Ok(Buffer::Unshared(buffer));
        }
        let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(value) else { return Self::of_object(scope, value) };
        // Typed as an ArrayBuffer by the crate `v8`, also where it is a shared one.
        let buffer = view.buffer(scope);
        let buffer = buffer.ok_or(Error::EngineFailed { engine: ENGINE, attempted: "give a view's buffer" })?;
        Self::of_object(scope, buffer.into())
    }

    /// The buffer that `value` is.
    #[inline]
    pub(crate) fn of_object(scope: &v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Result<Self, Error> {
        if let Ok(buffer) = v8::Local::<v8::ArrayBuffer>::try_from(value) {
            return Ok(Buffer::Unshared(buffer));
        }
        let buffer = v8::Local::<v8::SharedArrayBuffer>::try_from(value);
        buffer.map(Buffer::Shared).map_err(|_| Error::NotAnArrayBuffer {
            engine: ENGINE,
            found: value.type_of(scope).to_rust_string_lossy(scope),
        })
    }

    /// As what the crate `v8` makes typed arrays over, and V8 tells resizable by: both are for ArrayBuffers, and V8 takes either.
    pub(crate) fn as_unshared(&self) -> v8::Local<'s, v8::ArrayBuffer> {
        match *self {
            Buffer::Unshared(buffer) => buffer,
            // SAFETY: I-LAYOUT: both are handles to the same class of V8 (`JSArrayBuffer`), and the calls for both do the
            // same with it.
            Buffer::Shared(buffer) => unsafe { v8::Local::cast_unchecked(v8::Local::<v8::Value>::from(buffer)) },
        }
    }

    pub(crate) fn object(&self) -> v8::Local<'s, v8::Object> {
        match *self {
            Buffer::Unshared(buffer) => buffer.into(),
            Buffer::Shared(buffer) => buffer.into(),
        }
    }

    pub(crate) fn byte_length(&self) -> usize {
        match self {
            Buffer::Unshared(buffer) => buffer.byte_length(),
            Buffer::Shared(buffer) => buffer.byte_length(),
        }
    }

    /// Where its memory begins; `None` where it is detached or V8 gave it none.
    pub(crate) fn data(&self) -> Option<NonNull<c_void>> {
        match self {
            Buffer::Unshared(buffer) => buffer.data(),
            Buffer::Shared(buffer) => buffer.get_backing_store().data(),
        }
    }

    /// V8's block. Its safe methods and `Deref` allow races, so that it never leaves this module's callers.
    pub(super) fn block(&self) -> Block {
        Block(match self {
            Buffer::Unshared(buffer) => buffer.get_backing_store(),
            Buffer::Shared(buffer) => buffer.get_backing_store(),
        })
    }

    pub(crate) fn is_detachable(&self) -> bool {
        matches!(self, Buffer::Unshared(buffer) if buffer.is_detachable())
    }

    pub(crate) fn is_detached(&self) -> bool {
        matches!(self, Buffer::Unshared(buffer) if buffer.was_detached())
    }

    /// What never changes of it.
    #[inline]
    pub(crate) fn facts(&self) -> Facts {
        match *self {
            Buffer::Unshared(buffer) => Facts {
                shared: false,
                immutable: natives::is_immutable(buffer),
                max_byte_length: natives::is_resizable(buffer).then(|| natives::max_byte_length(buffer)),
            },
            Buffer::Shared(buffer) => {
                // Not the block's word: of memory of WebAssembly some buffers are growable, and others are not.
                let resizable = natives::is_resizable(self.as_unshared());
                let max_byte_length = resizable.then(|| natives::shared_max_byte_length(buffer));
                Facts { max_byte_length, ..Facts::SHARED }
            }
        }
    }

    /// What script sees of it.
    pub(crate) fn state(&self, facts: Facts) -> BufferState {
        let (byte_length, detached) = (self.byte_length(), self.is_detached());
        BufferState {
            byte_length,
            max_byte_length: if detached { 0 } else { facts.max_byte_length.unwrap_or(byte_length) },
            detached,
            resizable: facts.max_byte_length.is_some(),
            immutable: facts.immutable,
            shared: facts.shared,
        }
    }
}

/// The bytes of `store` to read; `scope` is borrowed for as long as the guard lives, and script runs through it alone.
pub(crate) fn bytes<'a, S>(isolate: IsolateId, store: &BackingStore, scope: &'a S) -> Result<Bytes<'a>, Error> {
    let _: &'a S = scope;
    // SAFETY: I-BORROW: running script takes `&mut` of the scope.
    Ok(unsafe { adapter::bytes_in(store, isolate) }?)
}

/// The bytes of `store` to write; as for [`bytes`].
pub(crate) fn bytes_mut<'a, S>(
    isolate: IsolateId,
    store: &BackingStore,
    scope: &'a mut S,
) -> Result<BytesMut<'a>, Error> {
    let _: &'a mut S = scope;
    // SAFETY: I-BORROW: running script takes `&mut` of the scope.
    Ok(unsafe { adapter::bytes_mut_in(store, isolate) }?)
}

/// The id of the isolate of `scope`, or one of nobody: then no buffer of that isolate is over a store.
fn id_in(scope: &v8::PinScope<'_, '_>) -> Result<(IsolateId, Option<IsolateRegistration>), Error> {
    if let Some(id) = known_isolate_id(scope)? {
        return Ok((id, None));
    }
    let registration = IsolateRegistration::new(ENGINE)?;
    Ok((registration.id(), Some(registration)))
}

/// The bytes of `store` as cells.
pub(crate) fn cells<'a>(scope: &'a v8::PinScope<'_, '_>, store: &'a BackingStore) -> Result<Cells<'a>, Error> {
    let (isolate, _registration) = id_in(scope)?;
    check_not_held(store, isolate, "lend cells of")?;
    // SAFETY: I-BORROW: `scope` shows that this thread has the isolate; the guard borrows it and stays on the thread.
    Ok(unsafe { adapter::cells_in(store, isolate) }?)
}

/// Copies `into.len()` bytes of `store` out.
pub(crate) fn copy_to(
    scope: &v8::PinScope<'_, '_>,
    store: &BackingStore,
    byte_offset: usize,
    into: &mut [u8],
) -> Result<(), Error> {
    if store.kind() != StoreKind::EngineResizable {
        return Ok(store.copy_to_slice(byte_offset, into)?);
    }
    let (isolate, _registration) = id_in(scope)?;
    check_not_held(store, isolate, "read")?;
    // The length that the part has while the guard keeps others from changing it.
    let part = store.slice(byte_offset..byte_offset.saturating_add(into.len()))?;
    // SAFETY: I-BORROW: `scope` shows that this thread has the isolate, and it runs no script until the copy is done.
    let bytes = unsafe { adapter::bytes_in(&part, isolate) }?;
    into.copy_from_slice(&bytes);
    Ok(())
}

/// Copies `from` into `store`.
pub(crate) fn copy_in<T: NoUninit>(
    scope: &v8::PinScope<'_, '_>,
    store: &BackingStore,
    byte_offset: usize,
    from: &[T],
) -> Result<(), Error> {
    let (isolate, _registration) = id_in(scope)?;
    if store.kind() == StoreKind::EngineResizable {
        check_not_held(store, isolate, "write")?;
    }
    // SAFETY: I-BORROW: `scope` shows that this thread has the isolate, so no other runs its script.
    Ok(unsafe { adapter::copy_from_slice_in(store, isolate, byte_offset, bytemuck::cast_slice(from)) }?)
}
