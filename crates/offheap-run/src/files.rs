//! The files of modules.

use std::path::{Component, Path};

use crate::glue::OFFHEAP_MODULE;
use crate::script::{Unreadable, read_text};

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
}
