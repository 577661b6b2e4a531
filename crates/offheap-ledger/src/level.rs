//! How much a ledger records.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// How much a ledger records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// How many stores and bytes there are, were made and were freed. No store is named.
    Counts,
    /// Each live store: where it was made, with the stack, and who holds it.
    #[default]
    Sites,
    /// The history of each live store too: its latest events, each with thread, time and stack.
    Full,
}

impl Level {
    /// The word for it: `counts`, `sites`, `full`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Counts => "counts",
            Level::Sites => "sites",
            Level::Full => "full",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the word for a level.
impl FromStr for Level {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        [Level::Counts, Level::Sites, Level::Full]
            .into_iter()
            .find(|level| level.name() == word)
            .ok_or_else(|| Error::Setting { problem: format!("there is no level {word:?}") })
    }
}
