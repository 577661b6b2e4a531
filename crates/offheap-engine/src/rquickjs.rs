//! `?` between [`Error`] and `rquickjs::Error`. Only the crate that has [`Error`] can write these conversions.

use std::io;

use crate::{Error, ScriptError};

impl From<Error> for rquickjs::Error {
    /// The error itself, as the source of a `rquickjs::Error::Io`, the only variant that can have one. Script sees an
    /// `Error` with the message. `or_throw` of `offheap-quickjs` throws the right class, and the code.
    fn from(error: Error) -> rquickjs::Error {
        match error {
            Error::Memory(error) => error.into(),
            other => rquickjs::Error::Io(io::Error::other(other)),
        }
    }
}

impl From<rquickjs::Error> for Error {
    /// An error of these crates comes back as it was. Any other one is an [`Error::Script`] with its text. For an
    /// exception, rquickjs's error has no text: the exception is pending in its `Ctx`, and `caught` of
    /// `offheap-quickjs` takes it from there.
    fn from(error: rquickjs::Error) -> Error {
        let message = match error {
            rquickjs::Error::Io(error) => match own(error) {
                Ok(error) => return error,
                Err(other) => rquickjs::Error::Io(other).to_string(),
            },
            rquickjs::Error::Exception => {
                "an exception, which is still pending in its `Ctx`; call `caught(&ctx)` on the result for its message"
                    .to_owned()
            }
            other => other.to_string(),
        };
        ScriptError::new("QuickJS", message, String::new()).into()
    }
}

/// The error of these crates in an error of rquickjs, if it came from there.
fn own(error: io::Error) -> Result<Error, io::Error> {
    error.downcast::<Error>().or_else(|other| other.downcast::<offheap::Error>().map(Error::Memory))
}
