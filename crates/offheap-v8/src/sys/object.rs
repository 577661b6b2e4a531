//! ArrayBuffers and SharedArrayBuffers as one type.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::block::Block;
use super::facts::Facts;
use super::natives;
use crate::{BufferState, ENGINE, Error};

/// An ArrayBuffer or a SharedArrayBuffer.
#[derive(Clone, Copy)]
pub(crate) enum Buffer<'s> {
    Unshared(v8::Local<'s, v8::ArrayBuffer>),
    Shared(v8::Local<'s, v8::SharedArrayBuffer>),
}

impl<'s> Buffer<'s> {
    /// Returns the buffer: `value` itself, or the buffer of the view `value`.
    #[inline]
    pub(crate) fn of(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Result<Self, Error> {
        // In most cases the value is a buffer.
        if let Ok(buffer) = v8::Local::<v8::ArrayBuffer>::try_from(value) {
            return Ok(Buffer::Unshared(buffer));
        }
        let Ok(view) = v8::Local::<v8::ArrayBufferView>::try_from(value) else { return Self::of_object(scope, value) };
        // The crate `v8` gives it the type of an ArrayBuffer, even if it is a SharedArrayBuffer.
        let buffer = view.buffer(scope);
        let buffer = buffer.ok_or(Error::EngineFailed { engine: ENGINE, attempted: "give a view's buffer" })?;
        Self::of_object(scope, buffer.into())
    }

    /// Returns `value` as a buffer, if it is one.
    #[inline]
    pub(super) fn of_value(value: v8::Local<'s, v8::Value>) -> Option<Self> {
        if let Ok(buffer) = v8::Local::<v8::ArrayBuffer>::try_from(value) {
            return Some(Buffer::Unshared(buffer));
        }
        v8::Local::<v8::SharedArrayBuffer>::try_from(value).ok().map(Buffer::Shared)
    }

    /// Returns `value` as a buffer.
    #[inline]
    pub(crate) fn of_object(scope: &v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Result<Self, Error> {
        Self::of_value(value).ok_or_else(|| Error::NotAnArrayBuffer {
            engine: ENGINE,
            found: value.type_of(scope).to_rust_string_lossy(scope),
        })
    }

    /// The buffer as an ArrayBuffer. The crate `v8` makes typed arrays, and asks whether a buffer is resizable, only
    /// for ArrayBuffers; V8 accepts both types.
    pub(crate) fn as_unshared(&self) -> v8::Local<'s, v8::ArrayBuffer> {
        match *self {
            Buffer::Unshared(buffer) => buffer,
            // SAFETY: I-LAYOUT: both are handles to one class of V8 (`JSArrayBuffer`), and these calls do the same for
            // both.
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

    /// The address of its memory, or `None` if it is detached or V8 gave it no memory.
    pub(crate) fn data(&self) -> Option<NonNull<c_void>> {
        match self {
            Buffer::Unshared(buffer) => buffer.data(),
            Buffer::Shared(buffer) => buffer.get_backing_store().data(),
        }
    }

    /// V8's block. Its safe methods and `Deref` allow data races, so only the callers of this module may have it.
    pub(super) fn block(&self) -> Block {
        Block(match self {
            Buffer::Unshared(buffer) => buffer.get_backing_store(),
            Buffer::Shared(buffer) => buffer.get_backing_store(),
        })
    }

    pub(crate) fn is_detachable(&self) -> bool {
        matches!(self, Buffer::Unshared(buffer) if buffer.is_detachable())
    }

    /// Whether the buffer may get shorter, so that views of it may be out of bounds.
    pub(super) fn may_shrink(&self) -> bool {
        matches!(*self, Buffer::Unshared(buffer) if natives::is_resizable(buffer))
    }

    pub(crate) fn is_detached(&self) -> bool {
        matches!(self, Buffer::Unshared(buffer) if buffer.was_detached())
    }

    /// Its properties that never change.
    #[inline]
    pub(crate) fn facts(&self) -> Facts {
        match *self {
            Buffer::Unshared(buffer) => Facts {
                shared: false,
                immutable: natives::is_immutable(buffer),
                max_byte_length: natives::is_resizable(buffer).then(|| natives::max_byte_length(buffer)),
            },
            Buffer::Shared(buffer) => {
                // The block cannot answer this: some buffers over memory of WebAssembly are growable, and others are
                // not.
                let resizable = natives::is_resizable(self.as_unshared());
                let max_byte_length = resizable.then(|| natives::shared_max_byte_length(buffer));
                Facts { max_byte_length, ..Facts::SHARED }
            }
        }
    }

    /// The state of the buffer as script sees it.
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
