//! Errors of Rust as exceptions of script.

use napi::{Env, JsRangeError, JsTypeError};
use offheap::ErrorClass;

use crate::Error;

/// Turns the error of a `Result` into an exception of script: `store.copy_to_slice(0, &mut bytes).or_throw(&env)?` in a function
/// that returns `napi::Result`. The exception has the class that [`Error::class`] names, and [`Error::code`] as its `code`. It
/// takes every error of offheap.
///
/// Without it, `?` converts the error too: script then gets an `Error` with the same message, whose `code` is napi's
/// `GenericFailure`.
///
/// ```no_run
/// use offheap_node::prelude::*;
/// use offheap_node::napi::{self, Env};
///
/// // #[napi]
/// fn first(env: Env, bytes: Uint8Array) -> napi::Result<u8> {
///     let mut byte = [0];
///     bytes.copy_to_slice(0, &mut byte).or_throw(&env)?; // a RangeError with the code OUT_OF_RANGE
///     Ok(byte[0])
/// }
/// ```
pub trait OrThrow<T> {
    /// The value, or an error that script gets as an exception of the right class.
    ///
    /// # Errors
    /// The error, as one of napi.
    fn or_throw(self, env: &Env) -> napi::Result<T>;
}

impl<T, E: Into<Error>> OrThrow<T> for Result<T, E> {
    fn or_throw(self, env: &Env) -> napi::Result<T> {
        self.map_err(|error| exception(env, &error.into()))
    }
}

fn exception(env: &Env, error: &Error) -> napi::Error {
    let made = napi::Error::new(error.code(), error.to_string());
    let env = Env::from_raw(env.raw());
    let exception = match error.class() {
        ErrorClass::RangeError => JsRangeError::from(made).into_unknown(env),
        _ => JsTypeError::from(made).into_unknown(env),
    };
    exception.into()
}
