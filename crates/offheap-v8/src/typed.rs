//! Typed arrays over stores, made by native code.

use offheap::BackingStore;
use offheap_engine::Element;

use crate::extension::BackingStoreExt;
use crate::sys::{self, Buffer};
use crate::{ENGINE, Error};

/// The largest number of elements in one typed array of V8.
fn max_element_count(element: Element) -> usize {
    match element {
        Element::Int8 => v8::Int8Array::MAX_LENGTH,
        Element::Uint8 => v8::Uint8Array::MAX_LENGTH,
        Element::Uint8Clamped => v8::Uint8ClampedArray::MAX_LENGTH,
        Element::Int16 => v8::Int16Array::MAX_LENGTH,
        Element::Uint16 => v8::Uint16Array::MAX_LENGTH,
        Element::Int32 => v8::Int32Array::MAX_LENGTH,
        Element::Uint32 => v8::Uint32Array::MAX_LENGTH,
        Element::Float16 => v8::Float16Array::MAX_LENGTH,
        Element::Float32 => v8::Float32Array::MAX_LENGTH,
        Element::Float64 => v8::Float64Array::MAX_LENGTH,
        Element::BigInt64 => v8::BigInt64Array::MAX_LENGTH,
        Element::BigUint64 => v8::BigUint64Array::MAX_LENGTH,
    }
}

/// Makes the array. The range was checked before, because V8 ends the process for a wrong one.
fn new_array<'s>(
    scope: &v8::PinScope<'s, '_>,
    buffer: v8::Local<'s, v8::ArrayBuffer>,
    element: Element,
    byte_offset: usize,
    element_count: usize,
) -> Option<v8::Local<'s, v8::TypedArray>> {
    macro_rules! new {
        ($array:ident) => {
            v8::$array::new(scope, buffer, byte_offset, element_count).map(Into::into)
        };
    }
    match element {
        Element::Int8 => new!(Int8Array),
        Element::Uint8 => new!(Uint8Array),
        Element::Uint8Clamped => new!(Uint8ClampedArray),
        Element::Int16 => new!(Int16Array),
        Element::Uint16 => new!(Uint16Array),
        Element::Int32 => new!(Int32Array),
        Element::Uint32 => new!(Uint32Array),
        Element::Float16 => None, // The crate `v8` cannot convert it, and Rust has no such elements.
        Element::Float32 => new!(Float32Array),
        Element::Float64 => new!(Float64Array),
        Element::BigInt64 => new!(BigInt64Array),
        Element::BigUint64 => new!(BigUint64Array),
    }
}

/// Makes a view of all bytes of a buffer.
pub(crate) fn view_of_all<'s>(
    scope: &v8::PinScope<'s, '_>,
    buffer: &Buffer<'s>,
) -> Result<v8::Local<'s, v8::ArrayBufferView>, Error> {
    let (byte_length, limit) = (buffer.byte_length(), max_element_count(Element::Uint8));
    if byte_length > limit {
        return Err(Error::TooLargeForEngine { engine: ENGINE, store: None, byte_length, limit });
    }
    let array = new_array(scope, buffer.as_unshared(), Element::Uint8, 0, byte_length);
    array.map(Into::into).ok_or(Error::EngineFailed { engine: ENGINE, attempted: "make a typed array" })
}

/// Makes a typed array over a part of a store. [`Element::check`] has accepted the range.
pub(crate) fn expose_typed<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    store: &BackingStore,
    element: Element,
    byte_offset: usize,
    element_count: usize,
) -> Result<v8::Local<'s, v8::TypedArray>, Error> {
    let most = max_element_count(element);
    if element_count > most {
        let (byte_length, limit) = (element_count * element.byte_length(), most.saturating_mul(element.byte_length()));
        return Err(Error::TooLargeForEngine { engine: ENGINE, store: Some(store.id()), byte_length, limit });
    }
    let buffer = match store.kind().is_shared() {
        true => Buffer::Shared(sys::expose_shared(scope, store)?),
        false => Buffer::Unshared(store.expose(scope)?),
    };
    // Another isolate may have made the store shorter before it released it.
    element.check(ENGINE, store, byte_offset, element_count)?;
    let array = new_array(scope, buffer.as_unshared(), element, byte_offset, element_count);
    array.ok_or(Error::EngineFailed { engine: ENGINE, attempted: "make a typed array" })
}
