//! Why a ledger cannot do what it was asked to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a ledger cannot do what it was asked to do. None of these reaches the code that makes and frees stores.
///
/// `Debug` prints the same sentence as `Display`, because that is what `main` prints of an error that it returns.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process has an observer, which cannot be replaced.
    #[error("this process has an observer of stores already; install the ledger once, before any other observer")]
    ObserverSet,
    /// The setting of `OFFHEAP_LEDGER`, or of an option like it, means nothing.
    #[error(
        "{problem}; write LEVEL or LEVEL:FILE, for example `sites` or `full:leak.jsonl`; LEVEL is counts, sites or full"
    )]
    Setting {
        /// What is wrong with it.
        problem: String,
    },
    /// A file for the stream or the report cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The stream ended before the program: it could not be written any further, or the code that it was handed to failed.
    #[error("the ledger's stream ended early: {source}")]
    Stream {
        /// Why.
        source: io::Error,
    },
    /// The ledger streams already, or its stream has ended.
    #[error("the ledger has one stream, and it was begun before")]
    Streaming,
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
