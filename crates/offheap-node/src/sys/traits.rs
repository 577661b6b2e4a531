//! napi's traits for a type, whose functions are unsafe to call. What they do is in safe code.

use napi::Env;
use napi::bindgen_prelude::Unknown;

use super::Sort;
use crate::Error;

/// A type that script passes and gets.
pub(crate) trait Passed: Sized {
    /// The name of the object in script.
    const NAME: &'static str;

    /// Whether a value of this type can be made of such an object.
    fn is(sort: Sort) -> bool;

    /// The value that script passed.
    fn from_script(value: &Unknown<'_>) -> Result<Self, Error>;

    /// The value for script.
    fn into_script(self, env: &Env) -> Result<Unknown<'_>, Error>;
}

macro_rules! passed {
    ($name:ident) => {
        #[allow(unsafe_code, reason = "napi's traits have unsafe functions")]
        const _: () = {
            use napi::bindgen_prelude::{
                FromNapiValue, JsValue, ToNapiValue, TypeName, Unknown, ValidateNapiValue, ValueType,
            };
            use napi::sys::{napi_env, napi_value};

            use crate::OrThrow;
            use crate::sys::Sort;
            use crate::sys::traits::Passed;

            impl TypeName for $name {
                fn type_name() -> &'static str {
                    <$name as Passed>::NAME
                }

                fn value_type() -> ValueType {
                    ValueType::Object
                }
            }

            impl ValidateNapiValue for $name {
                unsafe fn validate(env: napi_env, value: napi_value) -> napi::Result<napi_value> {
                    // SAFETY: I-LAYOUT: the caller promises that it is a value of this environment.
                    let value = unsafe { Unknown::from_raw_unchecked(env, value) };
                    let found = Sort::of(&value);
                    match <$name as Passed>::is(found) {
                        true => Ok(std::ptr::null_mut()),
                        false => Err(napi::Error::new(
                            napi::Status::InvalidArg,
                            format!("expected {}, found {found}", <$name as Passed>::NAME),
                        )),
                    }
                }
            }

            impl FromNapiValue for $name {
                #[track_caller]
                unsafe fn from_napi_value(env: napi_env, value: napi_value) -> napi::Result<Self> {
                    // SAFETY: I-LAYOUT: the caller promises that it is a value of this environment.
                    let value = unsafe { Unknown::from_raw_unchecked(env, value) };
                    <$name as Passed>::from_script(&value).or_throw(&napi::Env::from_raw(env))
                }
            }

            impl ToNapiValue for $name {
                unsafe fn to_napi_value(env: napi_env, value: Self) -> napi::Result<napi_value> {
                    let env = napi::Env::from_raw(env);
                    Ok(value.into_script(&env).or_throw(&env)?.raw())
                }
            }
        };
    };
}

pub(crate) use passed;
