//! Scripts, and the files of modules.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::Error;
use crate::glue::OFFHEAP_MODULE;

/// The text of a classic script or an ES module, to be run.
///
/// It is a module if its name ends with `.mjs`, or if it has `import`, `export` or `await` at its top level.
#[derive(Clone, Debug)]
pub struct Script {
    pub(crate) name: String,
    pub(crate) text: String,
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

    /// Whether the file's name says that it is a module.
    pub(crate) fn is_named_module(&self) -> bool {
        Path::new(&self.name).extension().is_some_and(|extension| extension == "mjs")
    }

    /// Whether a line begins with `import` or `export`, as in a module. This is a guess, for a text that does not
    /// parse.
    pub(crate) fn looks_like_module(&self) -> bool {
        let begins = |line: &str, word| {
            line.strip_prefix(word).is_some_and(|rest: &str| rest.starts_with([' ', '{', '*', '"', '\'']))
        };
        self.text.lines().any(|line| begins(line, "import") || begins(line, "export"))
    }
}

/// The text of the module in the file `name`.
///
/// # Errors
/// Why it cannot be read, and what to do.
pub(crate) fn read_module(name: &str) -> Result<String, String> {
    read_text(Path::new(name)).map_err(|why| match why {
        Unreadable::Io(error) => format!("{error}; check the name and the permissions"),
        Unreadable::NotUtf8 { at } => format!("byte {at} is not UTF-8; save the file as UTF-8"),
    })
}

/// The file that `specifier` names in the module or script `importer`, or the name of the module "offheap".
///
/// # Errors
/// Why it names no file, and what to do.
pub(crate) fn resolve(importer: &str, specifier: &str) -> Result<String, String> {
    if specifier.starts_with('/') || specifier == OFFHEAP_MODULE.name {
        return Ok(specifier.to_owned());
    }
    if !specifier.starts_with("./") && !specifier.starts_with("../") {
        return Err("it names no file; begin it with ./ or ../, or import \"offheap\"".to_owned());
    }
    let mut file = Path::new(importer).parent().unwrap_or(Path::new("")).to_path_buf();
    for component in Path::new(specifier).components() {
        match component {
            Component::ParentDir if matches!(file.components().next_back(), Some(Component::Normal(_))) => {
                file.pop();
            }
            Component::CurDir => {}
            other => file.push(other),
        }
    }
    Ok(file.to_string_lossy().into_owned())
}

enum Unreadable {
    Io(io::Error),
    NotUtf8 { at: usize },
}

/// A file's text without a byte order mark.
fn read_text(path: &Path) -> Result<String, Unreadable> {
    let bytes = fs::read(path).map_err(Unreadable::Io)?;
    let text =
        String::from_utf8(bytes).map_err(|error| Unreadable::NotUtf8 { at: error.utf8_error().valid_up_to() })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_specifiers_are_relative_to_the_importer() {
        let resolved = |importer, specifier| resolve(importer, specifier).unwrap();
        assert_eq!(resolved("examples/a.mjs", "./b.mjs"), "examples/b.mjs");
        assert_eq!(resolved("a.mjs", "./lib/b.mjs"), "lib/b.mjs");
        assert_eq!(resolved("examples/a.mjs", "../b.mjs"), "b.mjs");
        assert_eq!(resolved("a.mjs", "../b.mjs"), "../b.mjs");
        assert_eq!(resolved("../a.mjs", "../b.mjs"), "../../b.mjs");
        assert_eq!(resolved("a.mjs", "/lib/b.mjs"), "/lib/b.mjs");
        assert_eq!(resolved("lib/a.mjs", "offheap"), "offheap");
        assert!(resolve("a.mjs", "lodash").is_err());
    }

    #[test]
    fn modules_that_do_not_parse_are_recognised() {
        let looks = |text: &str| Script::new("a.js", text).looks_like_module();
        assert!(looks("// a\nimport { gc } from \"offheap\"\nlet let"));
        assert!(looks("export default 3"));
        assert!(!looks("importance = 1"));
        assert!(!looks("import(\"x\")"));
    }
}
