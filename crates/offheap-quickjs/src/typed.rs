//! Typed arrays over stores, made by native code.

use offheap::BackingStore;
use rquickjs::{Ctx, TypedArray, U8Clamped, Value, qjs};

use crate::script::from_rquickjs;
use crate::{ENGINE, Error, sys};

/// An element type of a typed array: `i8`, `u8`, `rquickjs::U8Clamped`, `i16`, `u16`, `i32`, `u32`, `f32`, `f64`, and `i64` and
/// `u64` for the arrays of BigInts.
pub trait TypedElement: sealed::Sealed {}

mod sealed {
    use rquickjs::{Result, TypedArray, Value, qjs};

    pub trait Sealed: Sized {
        const ARRAY_TYPE: qjs::JSTypedArrayEnum;

        /// rquickjs has this for each of them; the trait that says so is private.
        fn array(value: Value<'_>) -> Result<TypedArray<'_, Self>>;
    }
}

macro_rules! typed_elements {
    ($($element:ty: $array_type:ident,)*) => {$(
        impl sealed::Sealed for $element {
            const ARRAY_TYPE: qjs::JSTypedArrayEnum = qjs::$array_type;

            fn array(value: Value<'_>) -> rquickjs::Result<TypedArray<'_, Self>> {
                TypedArray::from_value(value)
            }
        }

        impl TypedElement for $element {}
    )*};
}

typed_elements! {
    i8: JSTypedArrayEnum_JS_TYPED_ARRAY_INT8,
    u8: JSTypedArrayEnum_JS_TYPED_ARRAY_UINT8,
    U8Clamped: JSTypedArrayEnum_JS_TYPED_ARRAY_UINT8C,
    i16: JSTypedArrayEnum_JS_TYPED_ARRAY_INT16,
    u16: JSTypedArrayEnum_JS_TYPED_ARRAY_UINT16,
    i32: JSTypedArrayEnum_JS_TYPED_ARRAY_INT32,
    u32: JSTypedArrayEnum_JS_TYPED_ARRAY_UINT32,
    f32: JSTypedArrayEnum_JS_TYPED_ARRAY_FLOAT32,
    f64: JSTypedArrayEnum_JS_TYPED_ARRAY_FLOAT64,
    i64: JSTypedArrayEnum_JS_TYPED_ARRAY_BIG_INT64,
    u64: JSTypedArrayEnum_JS_TYPED_ARRAY_BIG_UINT64,
}

/// Makes a typed array over a part of the buffer that `expose` makes of the store.
pub(crate) fn expose_typed<'js, T: TypedElement>(
    ctx: &Ctx<'js>,
    store: &BackingStore,
    byte_offset: usize,
    element_count: usize,
    expose: impl FnOnce() -> Result<Value<'js>, Error>,
) -> Result<TypedArray<'js, T>, Error> {
    // Before anything is exposed.
    let alignment = size_of::<T>();
    if !byte_offset.is_multiple_of(alignment) {
        let (store, byte_offset) = (store.id(), store.byte_offset().saturating_add(byte_offset));
        return Err(Error::Misaligned { engine: ENGINE, store, byte_offset, alignment });
    }
    let byte_length = element_count.saturating_mul(alignment);
    store.slice(byte_offset..byte_offset.saturating_add(byte_length))?;
    let buffer = expose()?;
    let array = sys::new_typed_array(ctx, &buffer, byte_offset, element_count, T::ARRAY_TYPE)?;
    T::array(array).map_err(|error| from_rquickjs(ctx, error))
}
