//! The objects that handles keep alive.

use offheap_engine::Rooted;

use super::engine_memory::find;
use super::facts::Facts;
use super::object::Buffer;
use crate::Error;

/// An object that a handle keeps alive.
pub struct Root {
    object: v8::Global<v8::Object>,
    facts: Facts,
    /// The bytes that collecting the object may free.
    byte_length: usize,
}

/// For buffers of at least this size, it is looked up whether releasing them frees their bytes.
const BYTES_BEFORE_A_LOOK: usize = 1 << 20;

impl Root {
    /// Makes a root for a buffer in the isolate of `scope`.
    pub(crate) fn of_buffer<'s>(scope: &mut v8::PinScope<'s, '_>, buffer: &Buffer<'s>, facts: Facts) -> Self {
        let byte_length = if facts.shared { 0 } else { buffer.byte_length() };
        let frees_none = byte_length >= BYTES_BEFORE_A_LOOK
            && find(buffer).is_some_and(|store| !offheap::adapter::frees_bytes(&store));
        Root::of_object(scope, buffer.object(), facts, if frees_none { 0 } else { byte_length })
    }

    /// Makes a root for an object in the isolate of `scope`. `facts` are those of its buffer, if it is a view.
    /// Collecting the object frees `byte_length` bytes.
    pub(crate) fn of_object(
        scope: &mut v8::PinScope<'_, '_>,
        object: v8::Local<'_, v8::Object>,
        facts: Facts,
        byte_length: usize,
    ) -> Self {
        Root { object: v8::Global::new(scope, object), facts, byte_length }
    }

    /// The same root, if script had the object before: releasing it may free nothing.
    pub(super) fn of_script(self) -> Self {
        Root { byte_length: 0, ..self }
    }

    /// The object. `scope` must be of the root's isolate.
    pub(super) fn object<'s>(&self, scope: &v8::PinScope<'s, '_, ()>) -> v8::Local<'s, v8::Object> {
        v8::Local::new(scope, &self.object)
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
