//! `?` in a function that returns `rquickjs::Result`. Only this crate can write these conversions, because neither the
//! error nor the trait belongs to the adapter for QuickJS.

use crate::{Error, Rejected};

impl From<Error> for rquickjs::Error {
    /// The error itself, as the source of a `rquickjs::Error::Io`, the only variant that can have one. Script sees an
    /// `Error` with the message. `or_throw` of `offheap-quickjs` throws the right class, and the code.
    fn from(error: Error) -> rquickjs::Error {
        rquickjs::Error::Io(std::io::Error::other(error))
    }
}

impl<T, E: Into<rquickjs::Error>> From<Rejected<T, E>> for rquickjs::Error {
    /// Drops the value.
    fn from(rejected: Rejected<T, E>) -> rquickjs::Error {
        rejected.into_parts().0.into()
    }
}
