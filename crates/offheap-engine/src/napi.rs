//! `?` in a function that returns `napi::Result`. Only the crate that has [`Error`] can write this conversion.

use crate::Error;

impl From<Error> for napi::Error {
    /// The message. Script sees an `Error`; `or_throw` of `offheap-node` throws the right class, and the code.
    fn from(error: Error) -> napi::Error {
        napi::Error::from_reason(error.to_string())
    }
}
