//! The element types of typed arrays, for every engine.

use bytemuck::Pod;
use offheap::BackingStore;

use crate::Error;

/// The element type of a typed array (ECMAScript's Table "The TypedArray Constructors").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "ECMAScript's names")]
pub enum Element {
    Int8,
    Uint8,
    Uint8Clamped,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Float16,
    Float32,
    Float64,
    BigInt64,
    BigUint64,
}

impl Element {
    /// All element types.
    pub const ALL: [Element; 12] = [
        Element::Int8,
        Element::Uint8,
        Element::Uint8Clamped,
        Element::Int16,
        Element::Uint16,
        Element::Int32,
        Element::Uint32,
        Element::Float16,
        Element::Float32,
        Element::Float64,
        Element::BigInt64,
        Element::BigUint64,
    ];

    /// The size of one element in bytes.
    pub fn byte_length(self) -> usize {
        match self {
            Element::Int8 | Element::Uint8 | Element::Uint8Clamped => 1,
            Element::Int16 | Element::Uint16 | Element::Float16 => 2,
            Element::Int32 | Element::Uint32 | Element::Float32 => 4,
            Element::Float64 | Element::BigInt64 | Element::BigUint64 => 8,
        }
    }

    /// Checks that `element_count` elements from `byte_offset` on are aligned and lie in the store.
    ///
    /// # Errors
    /// [`Error::Misaligned`] if the offset is not a multiple of the element's size, [`Error::Memory`] if the
    /// elements do not lie in the store.
    pub fn check(
        self,
        engine: &'static str,
        store: &BackingStore,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<(), Error> {
        let alignment = self.byte_length();
        if !byte_offset.is_multiple_of(alignment) {
            let (store, byte_offset) = (store.id(), store.byte_offset().saturating_add(byte_offset));
            return Err(Error::Misaligned { engine, store, byte_offset, alignment });
        }
        let byte_length = element_count.saturating_mul(alignment);
        store.slice(byte_offset..byte_offset.saturating_add(byte_length))?;
        Ok(())
    }
}

/// An element type of a typed array that Rust has: `i8`, `u8`, [`U8Clamped`], `i16`, `u16`, `i32`, `u32`, `f32`, `f64`;
/// `i64` and `u64` are for arrays of BigInts.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an element of a typed array",
    note = "use `i8`, `u8`, `U8Clamped`, `i16`, `u16`, `i32`, `u32`, `f32` or `f64`; `i64` and `u64` are for arrays of BigInts, and \
            `u8` for the bytes of anything else"
)]
pub trait TypedElement: sealed::Sealed {
    /// The element type of its typed arrays.
    const ELEMENT: Element;
}

/// The number of elements in all bytes that a store has now. For adapters.
///
/// # Errors
/// [`Error::Memory`] with [`PartialElement`](offheap::Error::PartialElement) if that is not a whole number.
pub fn element_count<T: TypedElement>(store: &BackingStore) -> Result<usize, Error> {
    let (byte_length, element_size) = (store.byte_length(), T::ELEMENT.byte_length());
    if !byte_length.is_multiple_of(element_size) {
        let (store, element) = (store.id(), std::any::type_name::<T>());
        return Err(offheap::Error::PartialElement { store, byte_length, element, element_size }.into());
    }
    Ok(byte_length / element_size)
}

/// The elements in `byte_length` bytes, which `copy` writes. For adapters.
///
/// # Errors
/// [`Error::PartialElement`], [`Error::Memory`] if there is no memory, and those of `copy`.
pub fn copied_elements<T: Pod>(
    engine: &'static str,
    byte_length: usize,
    copy: impl FnOnce(&mut [u8]) -> Result<(), Error>,
) -> Result<Vec<T>, Error> {
    if size_of::<T>() == 0 || !byte_length.is_multiple_of(size_of::<T>()) {
        return Err(Error::PartialElement { engine, byte_length, element: std::any::type_name::<T>() });
    }
    let mut elements = Vec::new();
    let element_count = byte_length / size_of::<T>();
    let none_left = |_| offheap::Error::OutOfMemory { requested: byte_length };
    elements.try_reserve_exact(element_count).map_err(none_left)?;
    elements.resize(element_count, T::zeroed());
    copy(bytemuck::cast_slice_mut(&mut elements))?;
    Ok(elements)
}

/// The element type of a `Uint8ClampedArray`. The type has no values.
#[derive(Clone, Copy, Debug)]
pub enum U8Clamped {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! typed_elements {
    ($($element:ty: $sort:ident,)*) => {$(
        impl sealed::Sealed for $element {}

        impl TypedElement for $element {
            const ELEMENT: Element = Element::$sort;
        }
    )*};
}

typed_elements! {
    i8: Int8,
    u8: Uint8,
    U8Clamped: Uint8Clamped,
    i16: Int16,
    u16: Uint16,
    i32: Int32,
    u32: Uint32,
    f32: Float32,
    f64: Float64,
    i64: BigInt64,
    u64: BigUint64,
}
