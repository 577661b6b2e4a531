//! The ledger that the environment asks for.

use std::env;
use std::path::Path;

use crate::{Builder, Error, Ledger, Level};

/// The name of the variable.
pub const VARIABLE: &str = "OFFHEAP_LEDGER";

/// Installs the ledger that the variable `OFFHEAP_LEDGER` asks for, as `LEVEL` or `LEVEL:FILE`: `sites`, `full:leak.jsonl`.
/// Installs none if the variable is not there or is empty. Call it first in `main`.
///
/// The stream is written into the file: as it is, or as one page to look at if the name of the file ends with `.html` (with
/// the feature `html`). The page is written when the process exits. Without a file nothing is written: ask the ledger that
/// this returns.
///
/// # Errors
/// [`Error::Setting`] if the variable has another form; [`Error::File`] if the file cannot be made; those of
/// [`Builder::install`].
pub fn install_from_env() -> Result<Option<&'static Ledger>, Error> {
    match env::var_os(VARIABLE) {
        None => Ok(None),
        Some(setting) if setting.is_empty() => Ok(None),
        Some(setting) => match setting.to_str() {
            Some(setting) => builder(setting)?.install().map(Some),
            None => Err(Error::Setting { problem: format!("{VARIABLE} is not UTF-8") }),
        },
    }
}

/// What `LEVEL` or `LEVEL:FILE` asks for.
fn builder(setting: &str) -> Result<Builder, Error> {
    let named = |error| match error {
        Error::Setting { problem } => Error::Setting { problem: format!("{VARIABLE}={setting}: {problem}") },
        other => other,
    };
    let (level, file) = match setting.split_once(':') {
        Some((level, file)) => (level, Some(file)),
        None => (setting, None),
    };
    let builder = Builder::new(level.parse::<Level>().map_err(named)?);
    match file {
        None => Ok(builder),
        Some("") => Err(named(Error::Setting { problem: "the name of the file is missing".into() })),
        Some(file) => builder.report_to_file(Path::new(file)).map_err(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(setting: &str) -> String {
        builder(setting).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_bad_setting_is_said_with_what_to_write() {
        assert_eq!(
            refused("some"),
            "OFFHEAP_LEDGER=some: there is no level \"some\"; write LEVEL or LEVEL:FILE, for example `sites` or \
             `full:leak.jsonl`; LEVEL is counts, sites or full"
        );
        assert!(refused("sites:").starts_with("OFFHEAP_LEDGER=sites:: the name of the file is missing; "));
        assert!(refused("full:/nowhere/at/all.jsonl").starts_with("cannot write /nowhere/at/all.jsonl: "));
        assert!(builder("sites").is_ok() && builder("counts").is_ok() && builder("full").is_ok());
    }
}
