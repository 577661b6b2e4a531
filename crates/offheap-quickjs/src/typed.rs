//! Typed arrays over stores, made by native code.

use offheap::BackingStore;
use offheap_engine::{Element, TypedElement, U8Clamped};
use rquickjs::{Ctx, TypedArray, Value, qjs};

use crate::script::from_rquickjs;
use crate::{ENGINE, Error, sys};

/// The rquickjs element type for each [`TypedElement`]: the type itself, or `rquickjs::U8Clamped` for
/// [`U8Clamped`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an element of a typed array",
    note = "use `i8`, `u8`, `U8Clamped`, `i16`, `u16`, `i32`, `u32`, `f32` or `f64`; `i64` and `u64` are for arrays of BigInts, and \
            `u8` for the bytes of anything else"
)]
pub trait RquickjsElement: TypedElement {
    /// The element type of rquickjs's `TypedArray`.
    type Element;

    /// Converts a value to rquickjs's `TypedArray`. rquickjs can do it for every element type, but its trait for
    /// that is private.
    ///
    /// # Errors
    /// rquickjs's error, if the value is something else.
    fn array(value: Value<'_>) -> rquickjs::Result<TypedArray<'_, Self::Element>>;
}

macro_rules! elements {
    ($($element:ty: $of_rquickjs:ty,)*) => {$(
        impl RquickjsElement for $element {
            type Element = $of_rquickjs;

            fn array(value: Value<'_>) -> rquickjs::Result<TypedArray<'_, $of_rquickjs>> {
                TypedArray::from_value(value)
            }
        }
    )*};
}

elements! {
    i8: i8,
    u8: u8,
    U8Clamped: rquickjs::U8Clamped,
    i16: i16,
    u16: u16,
    i32: i32,
    u32: u32,
    f32: f32,
    f64: f64,
    i64: i64,
    u64: u64,
}

/// QuickJS's number for the element type of a typed array.
pub(crate) fn array_type(element: Element) -> qjs::JSTypedArrayEnum {
    match element {
        Element::Int8 => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_INT8,
        Element::Uint8 => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_UINT8,
        Element::Uint8Clamped => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_UINT8C,
        Element::Int16 => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_INT16,
        Element::Uint16 => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_UINT16,
        Element::Int32 => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_INT32,
        Element::Uint32 => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_UINT32,
        Element::Float16 => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_FLOAT16,
        Element::Float32 => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_FLOAT32,
        Element::Float64 => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_FLOAT64,
        Element::BigInt64 => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_BIG_INT64,
        Element::BigUint64 => qjs::JSTypedArrayEnum_JS_TYPED_ARRAY_BIG_UINT64,
    }
}

/// The element type of QuickJS's number.
pub(crate) fn element_of(array_type_number: qjs::JSTypedArrayEnum) -> Option<Element> {
    Element::ALL.into_iter().find(|&element| array_type(element) == array_type_number)
}

/// Makes a typed array over a part of the buffer that `expose` returns for the store.
pub(crate) fn expose_typed<'js, T: RquickjsElement>(
    ctx: &Ctx<'js>,
    store: &BackingStore,
    byte_offset: usize,
    element_count: usize,
    expose: impl FnOnce() -> Result<Value<'js>, Error>,
) -> Result<TypedArray<'js, T::Element>, Error> {
    // Checked before anything is exposed.
    T::ELEMENT.check(ENGINE, store, byte_offset, element_count)?;
    let buffer = expose()?;
    let array = sys::new_typed_array(ctx, &buffer, byte_offset, element_count, T::ELEMENT)?;
    T::array(array).map_err(|error| from_rquickjs(ctx, error))
}
