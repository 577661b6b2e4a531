//! Locals: handles with the brand of a scope.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::Handle;

/// An object of an isolate in one of its scopes: a [`Handle`] with the scope's brand. A `&Local` is accepted wherever a
/// `&Handle` is.
///
/// The brand is invariant, so the compiler does not take a local of one isolate for a local of another. Where the
/// compiler cannot tell them apart, the isolates are compared when the local is used.
pub struct Local<'s, T> {
    handle: Handle<T>,
    brand: PhantomData<Cell<&'s ()>>,
}

impl<'s, T> Local<'s, T> {
    /// Turns a handle into a local of a scope of its isolate.
    pub(crate) fn new(handle: Handle<T>) -> Self {
        Local { handle, brand: PhantomData }
    }

    /// The local with another type, which the caller knows to be the object's.
    pub(crate) fn cast<U>(self) -> Local<'s, U> {
        Local::new(self.handle.cast())
    }

    /// The object's handle, which is not bound to the scope.
    pub fn into_handle(self) -> Handle<T> {
        self.handle
    }
}

impl<T> Deref for Local<'_, T> {
    type Target = Handle<T>;

    fn deref(&self) -> &Handle<T> {
        &self.handle
    }
}

impl<T> Clone for Local<'_, T> {
    fn clone(&self) -> Self {
        Local::new(self.handle.clone())
    }
}

impl<T> fmt::Debug for Local<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}
