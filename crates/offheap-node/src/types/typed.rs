//! The typed arrays.

use napi::Env;
use napi::bindgen_prelude::Unknown;
use offheap_engine::{TypedElement, U8Clamped, element_count};

use super::held::{Held, store_type, unshared_type};
use crate::Error;
use crate::sys::traits::{Passed, passed};
use crate::sys::{Sort, typed_array};

macro_rules! typed_arrays {
    ($($name:ident: $element:ty as $rust:ty, $article:literal;)*) => {$(
        #[doc = concat!("The part of its buffer that ", $article, " `", stringify!($name), "` of script shows, or a store as one. See the [module](super).")]
        #[derive(Clone, Debug)]
        pub struct $name(pub(super) Held);

        store_type!($name);
        unshared_type!($name, $rust);
        passed!($name);

        impl $name {
            /// The number of elements in the bytes that there are now.
            ///
            /// # Errors
            /// [`Error::Memory`] with [`PartialElement`](offheap::Error::PartialElement) if they are no whole number of elements.
            pub fn len(&self) -> Result<usize, Error> {
                element_count::<$element>(self)
            }

            /// Whether there is no byte.
            pub fn is_empty(&self) -> bool {
                self.byte_length() == 0
            }

            /// A copy of the elements, on any thread. Script may write meanwhile; each byte is then the old or the new one.
            ///
            /// # Errors
            /// Those of [`BackingStore::copy_out`](offheap::BackingStore::copy_out).
            pub fn to_vec(&self) -> Result<Vec<$rust>, Error> {
                Ok(self.copy_out()?)
            }
        }

        impl Passed for $name {
            const NAME: &'static str = stringify!($name);

            fn is(sort: Sort) -> bool {
                sort == Sort::View(Some(<$element>::ELEMENT))
            }

            #[track_caller]
            fn from_script(value: &Unknown<'_>) -> Result<Self, Error> {
                Held::of(value, Self::is, Self::NAME).map($name)
            }

            fn into_script(self, env: &Env) -> Result<Unknown<'_>, Error> {
                let element_count = self.len()?;
                let buffer = self.0.into_buffer(env)?;
                typed_array(env, <$element>::ELEMENT, &buffer, element_count)
            }
        }
    )*};
}

typed_arrays! {
    Int8Array: i8 as i8, "an";
    Uint8Array: u8 as u8, "a";
    Uint8ClampedArray: U8Clamped as u8, "a";
    Int16Array: i16 as i16, "an";
    Uint16Array: u16 as u16, "a";
    Int32Array: i32 as i32, "an";
    Uint32Array: u32 as u32, "a";
    Float32Array: f32 as f32, "a";
    Float64Array: f64 as f64, "a";
    BigInt64Array: i64 as i64, "a";
    BigUint64Array: u64 as u64, "a";
}
