//! The objects that handles keep alive.

use std::ffi::c_void;
use std::ptr::NonNull;

use offheap_engine::Rooted;

use super::engine_memory::find;
use super::facts::Facts;
use super::natives;
use super::object::Buffer;
use crate::Error;

/// An object that a handle keeps alive.
pub struct Root {
    object: v8::Global<v8::Object>,
    facts: Facts,
    /// The bytes that collecting the object may free.
    byte_length: usize,
    /// The handle in `object` if it is an ArrayBuffer, and not a SharedArrayBuffer.
    array_buffer: Option<NonNull<v8::ArrayBuffer>>,
}

/// For buffers of at least this size, it is looked up whether releasing them frees their bytes.
const BYTES_BEFORE_A_LOOK: usize = 1 << 20;

impl Root {
    /// Makes a root for a buffer in the isolate of `scope`.
    pub(crate) fn of_buffer<'s>(scope: &mut v8::PinScope<'s, '_>, buffer: &Buffer<'s>, facts: Facts) -> Self {
        let byte_length = if facts.shared { 0 } else { buffer.byte_length() };
        let frees_none = byte_length >= BYTES_BEFORE_A_LOOK
            && find(buffer).is_some_and(|store| !offheap::adapter::frees_bytes(&store));
        Root { byte_length: if frees_none { 0 } else { byte_length }, ..Root::of_passed(scope, buffer, facts) }
    }

    /// Makes a root for a buffer that script has too, so that releasing the root may free nothing.
    #[inline]
    pub(super) fn of_passed<'s>(scope: &mut v8::PinScope<'s, '_>, buffer: &Buffer<'s>, facts: Facts) -> Self {
        let root = Root::of_object(scope, buffer.object(), facts, 0);
        if matches!(buffer, Buffer::Shared(_)) {
            return root;
        }
        let handle = root.object.into_raw();
        // SAFETY: I-NO-JS-OWNER: the handle was made in this isolate, and is taken back once.
        let object = unsafe { v8::Global::from_raw(scope, handle) };
        Root { object, array_buffer: Some(handle.cast()), ..root }
    }

    /// Makes a root for an object that is no buffer, in the isolate of `scope`. `facts` are those of its buffer, if it is a
    /// view. Collecting the object frees `byte_length` bytes.
    #[inline]
    pub(crate) fn of_object(
        scope: &mut v8::PinScope<'_, '_>,
        object: v8::Local<'_, v8::Object>,
        facts: Facts,
        byte_length: usize,
    ) -> Self {
        Root { object: v8::Global::new(scope, object), facts, byte_length, array_buffer: None }
    }

    /// The address and the length of its bytes, if it is an ArrayBuffer that has memory. The isolate must live, and need not
    /// be entered.
    #[inline]
    pub(super) fn array_buffer_bytes(&self) -> Option<(NonNull<c_void>, usize)> {
        // SAFETY: I-LAYOUT: the handle lives as long as `object`. To the crate `v8`, an ArrayBuffer is what is at the address
        // of its handle.
        let buffer = unsafe { self.array_buffer?.as_ref() };
        Some((buffer.data()?, buffer.byte_length()))
    }

    /// The object. `scope` must be of the root's isolate.
    pub(super) fn object<'s>(&self, scope: &v8::PinScope<'s, '_, ()>) -> v8::Local<'s, v8::Object> {
        v8::Local::new(scope, &self.object)
    }

    /// Releases the object while its isolate lives.
    #[inline]
    pub(super) fn release(self) {
        natives::reset(self.object);
    }

    /// The bytes that collecting the object may free.
    pub(super) fn byte_length(&self) -> usize {
        self.byte_length
    }

    /// The properties of the buffer, or of the buffer of the view, that never change.
    pub(crate) fn facts(&self) -> Facts {
        self.facts
    }
}

/// The object of a root. `scope` must be of the root's isolate.
pub(crate) fn object_of<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    root: Rooted<'_, Root>,
) -> Result<v8::Local<'s, v8::Object>, Error> {
    root.with(|root| v8::Local::new(scope, &root.object))
}

/// The buffer of a root, or the buffer of its view. It fails if the handle was made for another kind of object. `scope`
/// must be of the root's isolate.
pub(crate) fn buffer_of<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    root: Rooted<'_, Root>,
) -> Result<(Buffer<'s>, Facts), Error> {
    let (object, facts) = root.with(|root| (v8::Local::new(scope, &root.object), root.facts))?;
    Ok((Buffer::of(scope, object.into())?, facts))
}
