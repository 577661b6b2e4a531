//! Conversions of script values to Rust values, on every engine.

use offheap::adapter::type_name_without_paths;

use crate::value::JsType;
use crate::{Local, Value};

/// A type that a value of script converts to: the result of [`Scope::eval`](crate::Scope::eval), an argument of a
/// [function](crate::Scope::function).
///
/// Nothing is coerced: `"1"` is not a number and `1.5` is not a `u32`. `2 ** 53` is not a `u64`, because a script
/// cannot tell it from `2 ** 53 + 1`; `2n ** 53n` is one. `undefined` and `null` are `None`. `()` takes any value, and
/// drops it.
#[diagnostic::on_unimplemented(
    message = "a value of script does not convert to `{Self}`",
    note = "use `bool`, a number, `String`, `Option` of one of them, `()`, or `Value` for any value; for a buffer, a view, a \
            function or an object use a `Local`, such as `Local<JsArrayBuffer>`"
)]
pub trait FromJs<'s>: Sized {
    /// Converts the value.
    ///
    /// # Errors
    /// The value comes back if it is of another type.
    fn from_js(value: Value<'s>) -> Result<Self, Value<'s>>;

    /// The values that convert to this type, for messages: `a string`.
    fn expected() -> String {
        format!("a value for `{}`", type_name_without_paths(std::any::type_name::<Self>()))
    }
}

impl<'s> FromJs<'s> for Value<'s> {
    fn from_js(value: Value<'s>) -> Result<Self, Value<'s>> {
        Ok(value)
    }
}

impl<'s> FromJs<'s> for () {
    fn from_js(_: Value<'s>) -> Result<Self, Value<'s>> {
        Ok(())
    }
}

macro_rules! from_variant {
    ($type:ty, $variant:ident, $expected:literal) => {
        impl<'s> FromJs<'s> for $type {
            fn from_js(value: Value<'s>) -> Result<Self, Value<'s>> {
                match value {
                    Value::$variant(value) => Ok(value),
                    other => Err(other),
                }
            }

            fn expected() -> String {
                $expected.to_owned()
            }
        }
    };
}

from_variant!(bool, Boolean, "a boolean");
from_variant!(f64, Number, "a number");
from_variant!(String, String, "a string");

impl<'s, T: FromJs<'s>> FromJs<'s> for Option<T> {
    fn from_js(value: Value<'s>) -> Result<Self, Value<'s>> {
        match value {
            Value::Undefined | Value::Null => Ok(None),
            value => T::from_js(value).map(Some),
        }
    }

    fn expected() -> String {
        format!("{}, null or undefined", T::expected())
    }
}

impl<'s, T: JsType> FromJs<'s> for Local<'s, T> {
    #[inline]
    fn from_js(value: Value<'s>) -> Result<Self, Value<'s>> {
        T::from_value(value)
    }

    fn expected() -> String {
        T::NAME.to_owned()
    }
}

/// ECMAScript's `Number.MAX_SAFE_INTEGER`. A larger whole number may be the rounded form of another.
const MAX_SAFE_INTEGER: f64 = ((1_u64 << 53) - 1) as f64;

macro_rules! from_whole_number {
    ($($number:ident),*) => {$(
        impl<'s> FromJs<'s> for $number {
            fn from_js(value: Value<'s>) -> Result<Self, Value<'s>> {
                match value {
                    // Converting back and comparing rejects fractions, NaN, and numbers that are too large.
                    Value::Number(number)
                        if (number as $number) as f64 == number && number.abs() <= MAX_SAFE_INTEGER =>
                    {
                        Ok(number as $number)
                    }
                    Value::BigInt(number) => number.try_into().map_err(|_| Value::BigInt(number)),
                    other => Err(other),
                }
            }

            fn expected() -> String {
                concat!("a whole number that fits in `", stringify!($number), "`").to_owned()
            }
        }
    )*};
}

from_whole_number!(u8, i8, u16, i16, u32, i32, u64, i64, usize, isize);

#[cfg(test)]
mod tests {
    use super::*;

    fn number<T: FromJs<'static>>(number: f64) -> Option<T> {
        T::from_js(Value::Number(number)).ok()
    }

    #[test]
    fn whole_numbers_convert_only_where_nothing_is_lost() {
        assert_eq!((number::<u8>(255.0), number::<u8>(256.0), number::<u8>(-1.0)), (Some(255), None, None));
        assert_eq!((number::<u32>(1.5), number::<i32>(f64::NAN), number::<i64>(f64::INFINITY)), (None, None, None));
        assert_eq!((number::<usize>(MAX_SAFE_INTEGER), number::<usize>(2_f64.powi(53))), (Some((1 << 53) - 1), None));
        assert_eq!((number::<i64>(-MAX_SAFE_INTEGER), number::<i64>(-(2_f64.powi(53)))), (Some(1 - (1 << 53)), None));
        assert_eq!(number::<u64>(2_f64.powi(64)), None);
        assert_eq!(u64::from_js(Value::BigInt(u64::MAX.into())).ok(), Some(u64::MAX));
        assert_eq!(i64::from_js(Value::BigInt(u64::MAX.into())).ok(), None);
    }

    #[test]
    fn nothing_is_coerced() {
        assert!(matches!(u32::from_js("1".into()), Err(Value::String(text)) if text == "1"));
        assert!(matches!(bool::from_js(Value::Number(1.0)), Err(Value::Number(1.0))));
        assert!(matches!(f64::from_js(Value::BigInt(1)), Err(Value::BigInt(1))));
        assert_eq!(Option::<u32>::from_js(Value::Null).unwrap(), None);
        assert!(matches!(Option::<u32>::from_js(true.into()), Err(Value::Boolean(true))));
        assert_eq!(Option::<u32>::expected(), "a whole number that fits in `u32`, null or undefined");
    }
}
