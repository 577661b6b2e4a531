//! Scripts to run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

/// The text of a classic script or an ES module, to be run.
///
/// It is a module if its name ends with `.mjs`, or if it has `import`, `export` or `await` at its top level.
#[derive(Clone, Debug)]
pub struct Script {
    name: String,
    text: String,
}

impl Script {
    /// A script with this text. Stacks call it `name`, and modules that it imports by a relative path are found from
    /// there: the name is a path, also where there is no such file.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Script { name: name.into(), text: text.into() }
    }

    /// Reads the script in a file, whose path becomes its name. A byte order mark is left out.
    ///
    /// # Errors
    /// [`Error::Unreadable`], [`Error::Directory`] and [`Error::NotUtf8`].
    pub fn read(path: impl Into<PathBuf>) -> Result<Script, Error> {
        let path = path.into();
        match read_text(&path) {
            Ok(text) => Ok(Script { name: path.to_string_lossy().into_owned(), text }),
            Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::IsADirectory => Err(Error::Directory { path }),
            Err(Unreadable::Io(error)) => Err(Error::Unreadable { path, error }),
            Err(Unreadable::NotUtf8 { at }) => Err(Error::NotUtf8 { path, at }),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Why a file has no text.
pub(crate) enum Unreadable {
    Io(io::Error),
    NotUtf8 { at: usize },
}

/// A file's text without a byte order mark.
pub(crate) fn read_text(path: &Path) -> Result<String, Unreadable> {
    let bytes = fs::read(path).map_err(Unreadable::Io)?;
    let text =
        String::from_utf8(bytes).map_err(|error| Unreadable::NotUtf8 { at: error.utf8_error().valid_up_to() })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}
