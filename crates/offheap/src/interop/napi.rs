//! `?` in a function that returns `napi::Result`. Only this crate can write these conversions, because neither the error nor the
//! trait belongs to the adapter for Node.

use crate::{Error, Rejected};

impl From<Error> for napi::Error {
    /// The message. Script sees an `Error`; `or_throw` of `offheap-node` throws the right class, and the code.
    fn from(error: Error) -> napi::Error {
        napi::Error::from_reason(error.to_string())
    }
}

impl<T, E: Into<napi::Error>> From<Rejected<T, E>> for napi::Error {
    /// Drops the value.
    fn from(rejected: Rejected<T, E>) -> napi::Error {
        rejected.into_parts().0.into()
    }
}
