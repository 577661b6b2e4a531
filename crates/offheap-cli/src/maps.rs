//! `--map NAME=FILE[:ro|:cow|:rw]`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use offheap::{Error, MapMode, MapProblem, Mapped};

use crate::input::InputError;

/// A map that an option asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    name: &'a str,
    path: &'a Path,
    mode: MapMode,
}

/// Maps the files. Script finds each by its name.
///
/// # Errors
/// The first option that is wrong: its form, a name that is given twice, or a file that cannot be mapped.
pub(crate) fn open(given: &[OsString]) -> Result<Vec<(String, Mapped)>, InputError> {
    let requests: Vec<Request<'_>> = given.iter().map(|given| parse(given)).collect::<Result<_, _>>()?;
    let mut names = HashSet::new();
    if let Some(twice) = requests.iter().find(|request| !names.insert(request.name)) {
        return Err(InputError::NameTwice { name: twice.name.to_owned() });
    }
    let open = |request: Request<'_>| {
        let mapped = Mapped::open(request.path, request.mode).map_err(|error| refusal(request.path, error))?;
        Ok((request.name.to_owned(), mapped))
    };
    requests.into_iter().map(open).collect()
}

fn refusal(path: &Path, error: Error) -> InputError {
    let is_missing = matches!(
        &error,
        Error::Map { problem: MapProblem::Io(error), .. } if error.kind() == ErrorKind::NotFound
    );
    let name = path.as_os_str().as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    match is_missing && name.contains(&b':') {
        true => InputError::MapMode(error),
        false => InputError::Map(error),
    }
}

fn parse(given: &OsStr) -> Result<Request<'_>, InputError> {
    let bad = || InputError::MapForm { given: given.to_owned() };
    let bytes = given.as_bytes();
    let equals = bytes.iter().position(|&byte| byte == b'=').ok_or_else(bad)?;
    let name = str::from_utf8(&bytes[..equals]).map_err(|_| bad())?;
    let (path, mode) = split_mode(&bytes[equals + 1..]);
    if name.is_empty() || path.is_empty() {
        return Err(bad());
    }
    Ok(Request { name, path: Path::new(OsStr::from_bytes(path)), mode })
}

/// The text after the last colon is the mode if it names one. Any other colon belongs to the file's name.
fn split_mode(file: &[u8]) -> (&[u8], MapMode) {
    let modes = [(&b":ro"[..], MapMode::ReadOnly), (b":cow", MapMode::CopyOnWrite), (b":rw", MapMode::ReadWrite)];
    for (suffix, mode) in modes {
        if let Some(path) = file.strip_suffix(suffix) {
            return (path, mode);
        }
    }
    (file, MapMode::ReadOnly)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_what_follows_the_last_colon() {
        let parsed = |given: &'static str| {
            let request = parse(OsStr::new(given)).unwrap();
            (request.name, request.path.to_str().unwrap(), request.mode)
        };
        assert_eq!(parsed("log=a.log"), ("log", "a.log", MapMode::ReadOnly));
        assert_eq!(parsed("log=a.log:ro"), ("log", "a.log", MapMode::ReadOnly));
        assert_eq!(parsed("log=a.log:cow"), ("log", "a.log", MapMode::CopyOnWrite));
        assert_eq!(parsed("log=a.log:rw"), ("log", "a.log", MapMode::ReadWrite));
        assert_eq!(parsed("log=a=b:c:rw"), ("log", "a=b:c", MapMode::ReadWrite));
        assert_eq!(parsed("log=a.log:RW"), ("log", "a.log:RW", MapMode::ReadOnly));
    }

    #[test]
    fn a_name_and_a_file_are_needed() {
        for given in ["log", "=a.log", "log=", "log=:rw", ""] {
            assert!(matches!(parse(OsStr::new(given)), Err(InputError::MapForm { .. })), "{given}");
        }
    }

    #[test]
    fn names_are_compared_before_any_file_is_opened() {
        let given = ["a=/missing".into(), "a=/missing".into()];
        assert!(matches!(open(&given), Err(InputError::NameTwice { name }) if name == "a"));
    }
}
