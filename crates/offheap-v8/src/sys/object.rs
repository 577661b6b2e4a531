//! ArrayBuffers and SharedArrayBuffers as one type.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::block::Block;
use super::facts::Facts;
use super::natives;
use crate::{BufferState, ENGINE, Error};

/// A buffer of either sort.
#[derive(Clone, Copy)]
pub(crate) enum Buffer<'s> {
    Unshared(v8::Local<'s, v8::ArrayBuffer>),
    Shared(v8::Local<'s, v8::SharedArrayBuffer>),
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
