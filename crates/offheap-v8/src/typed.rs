//! Typed arrays over stores, made by native code.

use offheap::BackingStore;

use crate::extension::BackingStoreExt;
use crate::sys::{self, Buffer};
use crate::{ENGINE, Error};

/// An element type of a typed array: `i8`, `u8`, [`U8Clamped`], `i16`, `u16`, `i32`, `u32`, `f32`, `f64`, and `i64` and
/// `u64` for the arrays of BigInts.
pub trait TypedElement: sealed::Sealed {}

/// The element of a `Uint8ClampedArray`; it has no values.
#[derive(Clone, Copy, Debug)]
pub enum U8Clamped {}

mod sealed {
    pub trait Sealed {
        /// In bytes.
        const ELEMENT_SIZE: usize;
        /// The most elements that V8 puts into one array.
        const MAX_ELEMENT_COUNT: usize;

        /// The array; the range was checked, since V8 ends the process for a wrong one.
        fn array<'s>(
            scope: &v8::PinScope<'s, '_>,
            buffer: v8::Local<'s, v8::ArrayBuffer>,
            byte_offset: usize,
            element_count: usize,
        ) -> Option<v8::Local<'s, v8::TypedArray>>;
    }
}

macro_rules! typed_elements {
    ($($element:ty: $array:ident $size:literal,)*) => {$(
        impl sealed::Sealed for $element {
            const ELEMENT_SIZE: usize = $size;
            const MAX_ELEMENT_COUNT: usize = v8::$array::MAX_LENGTH;

            fn array<'s>(
                scope: &v8::PinScope<'s, '_>,
                buffer: v8::Local<'s, v8::ArrayBuffer>,
                byte_offset: usize,
                element_count: usize,
            ) -> Option<v8::Local<'s, v8::TypedArray>> {
                v8::$array::new(scope, buffer, byte_offset, element_count).map(Into::into)
            }
        }

        impl TypedElement for $element {}
    )*};
}

typed_elements! {
    i8: Int8Array 1,
    u8: Uint8Array 1,
    U8Clamped: Uint8ClampedArray 1,
    i16: Int16Array 2,
    u16: Uint16Array 2,
    i32: Int32Array 4,
    u32: Uint32Array 4,
    f32: Float32Array 4,
    f64: Float64Array 8,
    i64: BigInt64Array 8,
    u64: BigUint64Array 8,
}

/// Makes a typed array over a part of a store.
pub(crate) fn expose_typed<'s, T: TypedElement>(
    scope: &mut v8::PinScope<'s, '_>,
    store: &BackingStore,
    byte_offset: usize,
    element_count: usize,
) -> Result<v8::Local<'s, v8::TypedArray>, Error> {
    // Before anything is exposed.
    let alignment = T::ELEMENT_SIZE;
    if !byte_offset.is_multiple_of(alignment) {
        let (store, byte_offset) = (store.id(), store.byte_offset().saturating_add(byte_offset));
        return Err(Error::Misaligned { engine: ENGINE, store, byte_offset, alignment });
    }
    let byte_length = element_count.saturating_mul(alignment);
    store.slice(byte_offset..byte_offset.saturating_add(byte_length))?;
    if element_count > T::MAX_ELEMENT_COUNT {
        let (store, limit) = (Some(store.id()), T::MAX_ELEMENT_COUNT.saturating_mul(alignment));
        return Err(Error::TooLargeForEngine { engine: ENGINE, store, byte_length, limit });
    }
    let buffer = match store.kind().is_shared() {
        true => Buffer::Shared(sys::expose_shared(scope, store)?),
        false => Buffer::Unshared(store.expose(scope)?),
    };
    let array = T::array(scope, buffer.as_unshared(), byte_offset, element_count);
    array.ok_or(Error::EngineFailed { engine: ENGINE, attempted: "make a typed array" })
}
