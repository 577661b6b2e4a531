//! Arguments and results of ops: buffers of script as stores, and stores as buffers of script. To use them in your own
//! program, copy this file: the traits are those of deno_core, which has a new version every few weeks.
//!
//! Each type has its value as a public field. As an argument it is `#[scoped]`, because deno_core converts other arguments
//! without a scope.

use std::borrow::Cow;

use deno_core::{FromV8, ToV8, v8};
use deno_error::{AdditionalProperties, JsErrorBox, JsErrorClass};
use offheap_v8::offheap::{BackingStore, ErrorClass, FrozenStore, Owner, SharedStore, UniqueStore};
use offheap_v8::{BackingStoreExt, Error, Exposure, FrozenStoreExt, SharedStoreExt, TypedElement, UniqueStoreExt};

/// An error of offheap that an op returns. Script sees a `TypeError` or a `RangeError`, with a `code`. `?` makes one of
/// every error of offheap, and makes a [`JsErrorBox`] of one.
#[derive(Debug)]
pub struct OpError(Error);

impl<E: Into<Error>> From<E> for OpError {
    fn from(error: E) -> Self {
        OpError(error.into())
    }
}

impl From<OpError> for JsErrorBox {
    fn from(error: OpError) -> Self {
        JsErrorBox::from_err(error)
    }
}

impl std::fmt::Display for OpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for OpError {}

impl JsErrorClass for OpError {
    fn get_class(&self) -> Cow<'static, str> {
        match self.0.class() {
            ErrorClass::RangeError => "RangeError".into(),
            _ => "TypeError".into(),
        }
    }

    fn get_message(&self) -> Cow<'static, str> {
        self.0.to_string().into()
    }

    fn get_additional_properties(&self) -> AdditionalProperties {
        Box::new(std::iter::once(("code".into(), self.0.code().into())))
    }

    fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }
}

/// A buffer of script as its store. It may be held across an `await`, and sent to another thread.
///
/// As an argument it takes an ArrayBuffer, a SharedArrayBuffer or a view, of which it has the part that the view shows. As a
/// result it is an ArrayBuffer over the store, or a SharedArrayBuffer if the store is shared.
pub struct Buffer(pub BackingStore);

impl<'s> FromV8<'s> for Buffer {
    type Error = OpError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, OpError> {
        Ok(Buffer(BackingStore::externalize(scope, value)?))
    }
}

impl<'s> ToV8<'s> for Buffer {
    type Error = OpError;

    fn to_v8<'i>(self, scope: &mut v8::PinScope<'s, 'i>) -> Result<v8::Local<'s, v8::Value>, OpError> {
        if self.0.kind().is_shared() {
            return Shared(SharedStore::try_from(self.0)?).to_v8(scope);
        }
        Ok(self.0.expose(scope)?.into())
    }
}

/// A SharedArrayBuffer of script as its store. As an argument, unshared memory is a TypeError.
pub struct Shared(pub SharedStore);

impl<'s> FromV8<'s> for Shared {
    type Error = OpError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, OpError> {
        Ok(Shared(SharedStore::try_from(BackingStore::externalize(scope, value)?)?))
    }
}

impl<'s> ToV8<'s> for Shared {
    type Error = OpError;

    fn to_v8<'i>(self, scope: &mut v8::PinScope<'s, 'i>) -> Result<v8::Local<'s, v8::Value>, OpError> {
        Ok(self.0.expose(scope)?.into())
    }
}

/// The memory of an ArrayBuffer, taken from script without a copy: the buffer is detached, and the op is the only one that
/// has the bytes.
pub struct Taken(pub UniqueStore);

impl<'s> FromV8<'s> for Taken {
    type Error = OpError;

    fn from_v8<'i>(scope: &mut v8::PinScope<'s, 'i>, value: v8::Local<'s, v8::Value>) -> Result<Self, OpError> {
        Ok(Taken(UniqueStore::take(scope, value, None)?))
    }
}

/// A `Vec` as a typed array over the `Vec`'s own memory, as a result: `TypedArrayOf<f32>` is a `Float32Array`.
pub struct TypedArrayOf<T>(pub Vec<T>);

impl<'s, T: TypedElement> ToV8<'s> for TypedArrayOf<T>
where
    Vec<T>: Owner,
{
    type Error = OpError;

    fn to_v8<'i>(self, scope: &mut v8::PinScope<'s, 'i>) -> Result<v8::Local<'s, v8::Value>, OpError> {
        let element_count = self.0.len();
        Ok(BackingStore::from_owner(self.0)?.expose_typed::<T>(scope, 0, element_count)?.into())
    }
}

/// Read-only memory as an ArrayBuffer, as a result: immutable and over the store's own memory if V8 was started with
/// immutable buffers, and over a copy if not.
pub struct FrozenOrCopy(pub FrozenStore);

impl<'s> ToV8<'s> for FrozenOrCopy {
    type Error = OpError;

    fn to_v8<'i>(self, scope: &mut v8::PinScope<'s, 'i>) -> Result<v8::Local<'s, v8::Value>, OpError> {
        let (buffer, exposure) = self.0.expose(scope)?;
        if let Exposure::Copied { reason } = exposure {
            eprintln!("copied {} bytes: {reason:?}", self.0.len());
        }
        Ok(buffer.into())
    }
}
