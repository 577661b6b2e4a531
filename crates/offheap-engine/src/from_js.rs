//! Conversions of script values to Rust values, on every engine.

use crate::ScriptValue;

/// A type that a script's value converts to; see [`Scope::eval`](crate::Scope::eval).
///
/// Nothing is coerced: `"1"` is not a number and `1.5` is not a `u32`. `2 ** 53` is not a `u64`, because a script
/// cannot tell it from `2 ** 53 + 1`. `undefined` and `null` are `None`. `()` takes any value, and drops it.
pub trait FromJs: Sized {
    /// Converts the value.
    ///
    /// # Errors
    /// The value comes back if it is of another type.
    fn from_js(value: ScriptValue) -> Result<Self, ScriptValue>;
}

impl FromJs for ScriptValue {
    fn from_js(value: ScriptValue) -> Result<Self, ScriptValue> {
        Ok(value)
    }
}

impl FromJs for () {
    fn from_js(_: ScriptValue) -> Result<Self, ScriptValue> {
        Ok(())
    }
}

impl FromJs for bool {
    fn from_js(value: ScriptValue) -> Result<Self, ScriptValue> {
        match value {
            ScriptValue::Boolean(value) => Ok(value),
            other => Err(other),
        }
    }
}

impl FromJs for f64 {
    fn from_js(value: ScriptValue) -> Result<Self, ScriptValue> {
        match value {
            ScriptValue::Number(value) => Ok(value),
            other => Err(other),
        }
    }
}

impl FromJs for String {
    fn from_js(value: ScriptValue) -> Result<Self, ScriptValue> {
        match value {
            ScriptValue::String(value) => Ok(value),
            other => Err(other),
        }
    }
}

impl<T: FromJs> FromJs for Option<T> {
    fn from_js(value: ScriptValue) -> Result<Self, ScriptValue> {
        match value {
            ScriptValue::Undefined | ScriptValue::Null => Ok(None),
            value => T::from_js(value).map(Some),
        }
    }
}

/// ECMAScript's `Number.MAX_SAFE_INTEGER`. A larger whole number may be the rounded form of another.
const MAX_SAFE_INTEGER: f64 = ((1_u64 << 53) - 1) as f64;

macro_rules! from_whole_number {
    ($($number:ty),*) => {$(
        impl FromJs for $number {
            fn from_js(value: ScriptValue) -> Result<Self, ScriptValue> {
                match value {
                    // Converting back and comparing rejects fractions, NaN, and numbers that are too large.
                    ScriptValue::Number(number)
                        if (number as $number) as f64 == number && number.abs() <= MAX_SAFE_INTEGER =>
                    {
                        Ok(number as $number)
                    }
                    other => Err(other),
                }
            }
        }
    )*};
}

from_whole_number!(u8, i8, u16, i16, u32, i32, u64, i64, usize, isize);

#[cfg(test)]
mod tests {
    use super::*;

    fn number<T: FromJs>(number: f64) -> Option<T> {
        T::from_js(ScriptValue::Number(number)).ok()
    }

    #[test]
    fn whole_numbers_convert_only_where_nothing_is_lost() {
        assert_eq!((number::<u8>(255.0), number::<u8>(256.0), number::<u8>(-1.0)), (Some(255), None, None));
        assert_eq!((number::<u32>(1.5), number::<i32>(f64::NAN), number::<i64>(f64::INFINITY)), (None, None, None));
        assert_eq!((number::<usize>(MAX_SAFE_INTEGER), number::<usize>(2_f64.powi(53))), (Some((1 << 53) - 1), None));
        assert_eq!((number::<i64>(-MAX_SAFE_INTEGER), number::<i64>(-(2_f64.powi(53)))), (Some(1 - (1 << 53)), None));
        assert_eq!(number::<u64>(2_f64.powi(64)), None);
    }

    #[test]
    fn nothing_is_coerced() {
        assert_eq!(u32::from_js(ScriptValue::String("1".to_owned())), Err(ScriptValue::String("1".to_owned())));
        assert_eq!(bool::from_js(ScriptValue::Number(1.0)), Err(ScriptValue::Number(1.0)));
        assert_eq!(Option::<u32>::from_js(ScriptValue::Null), Ok(None));
        assert_eq!(Option::<u32>::from_js(ScriptValue::Boolean(true)), Err(ScriptValue::Boolean(true)));
    }
}
