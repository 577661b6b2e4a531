//! Why a script did not run to its end.

use std::io;
use std::path::PathBuf;

use crate::Uncaught;

/// A script that could not be read or started, or that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The script's file does not exist, or the system does not let it be read.
    #[error("cannot read the script {}: {error}; check the name and the permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },

    /// The script's path is that of a directory.
    #[error("cannot read the script {}: it is a directory; name a file in it", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },

    /// The script's file is not text in UTF-8.
    #[error("cannot read the script {}: byte {at} is not UTF-8; save the file as UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first byte that is wrong, counted from 0.
        at: usize,
    },

    /// The engine does not start.
    #[error("cannot start the engine: {0}")]
    Isolate(offheap_engine::Error),

    /// The script threw and did not catch it, or never ended.
    #[error(transparent)]
    Uncaught(#[from] Uncaught),
}
