//! Why something was refused: what errors carry.

use std::fmt;

use crate::{IsolateId, MapMode};

/// Who uses the bytes of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// A guard or a copy that reads.
    Readers(u32),
    /// A guard that writes.
    Writer,
    /// Somebody who is changing the length.
    Resizing,
    /// References to shared memory, those of live buffers included: its uses leave no other mark.
    References(u32),
    /// An isolate, through live buffers.
    Isolate {
        /// The isolate.
        isolate: IsolateId,
        /// How many buffers.
        buffers: u16,
    },
}

impl Holder {
    /// What lets the memory be freed.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Holder::References(_) => "drop the references, and let go of the buffers and collect, first",
            _ => "detach the buffer or drop the guard first",
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Readers(1) => write!(f, "a reader uses its bytes"),
            Holder::Readers(count) => write!(f, "{count} readers use its bytes"),
            Holder::Writer => write!(f, "a writer uses its bytes"),
            Holder::Resizing => write!(f, "its length is being changed"),
            Holder::References(1) => write!(f, "a reference or buffer to it lives"),
            Holder::References(count) => write!(f, "{count} references or buffers to it live"),
            Holder::Isolate { isolate, buffers } => {
                write!(f, "{isolate} uses its bytes through {buffers} live buffer(s)")
            }
        }
    }
}

/// Why a store is not held by one handle alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotUnique {
    /// There are this many references, and no live buffers.
    References(u32),
    /// An isolate has it through live buffers.
    Exposed {
        /// The isolate.
        isolate: IsolateId,
        /// How many buffers.
        buffers: u16,
        /// How many references there are beside the one that was to be the only one, and those of the buffers.
        others: u32,
    },
    /// The handle is to a part of the store.
    SubStore,
    /// The store's kind never becomes unique: shared, frozen and manual memory, mapped files, memory of an engine.
    Kind,
}

impl fmt::Display for NotUnique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotUnique::References(count) => write!(f, "{count} references to it live; drop the others first"),
            NotUnique::Exposed { isolate, buffers, others: 0 } => {
                write!(f, "{isolate} has it through {buffers} live buffer(s); detach or collect them first")
            }
            NotUnique::Exposed { isolate, buffers, others } => write!(
                f,
                "{isolate} has it through {buffers} live buffer(s), and {others} other reference(s) live; detach or \
                 collect the buffers, and drop the references, first"
            ),
            NotUnique::SubStore => write!(f, "this handle is to a part of it; ask with a handle to all of it"),
            NotUnique::Kind => write!(f, "memory of this kind is never handed back as a whole; copy its bytes instead"),
        }
    }
}

/// What keeps a file from being mapped.
#[derive(Debug)]
#[non_exhaustive]
pub enum MapProblem {
    /// The system refused.
    Io(std::io::Error),
    /// The path names a directory.
    Directory,
    /// The path names no regular file.
    NotAFile,
    /// The file has bytes and no length: the system makes it as it is read, as those below `/proc`.
    NoLength,
    /// The system has no pages of the file, as of those below `/sys`.
    Unmappable,
    /// The file is mapped in another mode.
    OtherMode {
        /// The mode that was asked for.
        requested: MapMode,
        /// The mode that it is mapped in.
        mapped: MapMode,
    },
}

impl fmt::Display for MapProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapProblem::Io(error) => write!(f, "{error}; check the name and the permissions"),
            MapProblem::Directory => write!(f, "it is a directory; name a file in it"),
            MapProblem::NotAFile => write!(f, "it is not a regular file; copy it into one first"),
            MapProblem::NoLength => {
                write!(
                    f,
                    "the system makes it as it is read, so it has no length to map; copy it into a regular file first"
                )
            }
            MapProblem::Unmappable => {
                write!(f, "the system cannot map this file; copy it into a regular file first")
            }
            MapProblem::OtherMode { requested, mapped } => write!(
                f,
                "it is mapped {mapped} already and cannot be mapped {requested} at the same time; use one mode for it"
            ),
        }
    }
}
