//! Errors as exceptions of script, each with a `code`.

use std::io::ErrorKind;

use napi::{Env, JsTypeError};
use offheap_node::offheap::{self, MapProblem};
use offheap_node::{Error, OrThrow};

/// Turns an error of offheap into an exception of script, with a class and a `code`.
pub(crate) fn exception(env: &Env, error: Error) -> napi::Error {
    if let Error::Memory(offheap::Error::Map { problem, .. }) = &error
        && let Some(code) = code_of(problem)
    {
        return type_error(env, code, &error.to_string());
    }
    match Err::<(), _>(error).or_throw(env) {
        Err(exception) => exception,
        Ok(()) => unreachable!("it is an error"),
    }
}

/// A TypeError with this code.
pub(crate) fn type_error(env: &Env, code: &str, message: &str) -> napi::Error {
    let env = Env::from_raw(env.raw());
    JsTypeError::from(napi::Error::new(code, message)).into_unknown(env).into()
}

/// The code of a file that cannot be mapped: the name that Node's `fs` has for it, if it has one. `None` if the core's code says
/// enough.
fn code_of(problem: &MapProblem) -> Option<&'static str> {
    Some(match problem {
        MapProblem::OutOfRange { .. } | MapProblem::TooManyMaps { .. } => return None,
        MapProblem::Directory => "EISDIR",
        MapProblem::NotAFile => "NOT_A_FILE",
        MapProblem::NoLength => "NO_LENGTH",
        MapProblem::Unmappable => "ENODEV",
        MapProblem::OtherMode { .. } => "OTHER_MODE",
        MapProblem::Io(error) => match error.kind() {
            ErrorKind::NotFound => "ENOENT",
            ErrorKind::PermissionDenied => "EACCES",
            ErrorKind::NotADirectory => "ENOTDIR",
            ErrorKind::InvalidFilename => "ENAMETOOLONG",
            ErrorKind::ReadOnlyFilesystem => "EROFS",
            ErrorKind::ExecutableFileBusy => "ETXTBSY",
            ErrorKind::OutOfMemory => "ENOMEM",
            ErrorKind::InvalidInput => "EINVAL",
            _ => "MAP",
        },
        _ => "MAP",
    })
}
