//! Reasons for a refusal, which errors contain.

use std::fmt;

use crate::{IsolateId, MapMode};

/// A number of live buffers: "1 live buffer", "2 live buffers".
pub(crate) struct LiveBuffers(pub(crate) u16);

impl LiveBuffers {
    /// The pronoun for them.
    pub(crate) fn pronoun(&self) -> &'static str {
        if self.0 == 1 { "it" } else { "them" }
    }
}

impl fmt::Display for LiveBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} live buffer{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// Who uses the bytes of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// A guard or a copy that reads.
    Readers(u32),
    /// A guard that writes.
    Writer,
    /// A thread that is changing the length.
    Resizing,
    /// References to shared memory, those of live buffers included. Uses of shared memory leave no other mark.
    References(u32),
    /// An isolate, through live buffers.
    Isolate {
        /// The isolate.
        isolate: IsolateId,
        /// How many buffers.
        buffers: u16,
    },
    /// A host such as Node, which had the memory. Its pending calls may still write it.
    Host(IsolateId),
}

impl Holder {
    /// What to do before the memory can be freed.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Holder::Host(_) => "call the unsafe `assume_host_is_done` when no call of the host is pending on it",
            Holder::References(_) => "drop the references first, and let the buffers be collected",
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
                write!(f, "{isolate} uses its bytes through {}", LiveBuffers(*buffers))
            }
            Holder::Host(host) => write!(f, "pending calls of {host}, which had it, may still write its bytes"),
        }
    }
}

/// Why a store has no unique handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotUnique {
    /// It has this many references, and no live buffers.
    References(u32),
    /// An isolate has it through live buffers.
    Exposed {
        /// The isolate.
        isolate: IsolateId,
        /// How many buffers.
        buffers: u16,
        /// The number of other references, those of the buffers not included.
        others: u32,
    },
    /// The handle is to a part of the store.
    SubStore,
    /// The store's kind never becomes unique: shared, frozen and manual memory, mapped files, an engine's memory.
    Kind,
}

impl fmt::Display for NotUnique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotUnique::References(count) => write!(f, "{count} references to it live; drop the others first"),
            NotUnique::Exposed { isolate, buffers, others: 0 } => {
                let buffers = LiveBuffers(*buffers);
                write!(f, "{isolate} has it through {buffers}; detach or collect {} first", buffers.pronoun())
            }
            NotUnique::Exposed { isolate, buffers, others } => {
                let buffers = LiveBuffers(*buffers);
                let references = if *others == 1 { "reference lives" } else { "references live" };
                write!(
                    f,
                    "{isolate} has it through {buffers}, and {others} other {references}; first detach or collect {}, and drop all other \
                     references",
                    buffers.pronoun()
                )
            }
            NotUnique::SubStore => write!(f, "this handle is to a part of it; use a handle to all of it"),
            NotUnique::Kind => write!(f, "memory of this kind cannot be taken back; copy its bytes instead"),
        }
    }
}

/// Why a file cannot be mapped.
#[derive(Debug)]
#[non_exhaustive]
pub enum MapProblem {
    /// An error of the system.
    Io(std::io::Error),
    /// The path names a directory.
    Directory,
    /// The path does not name a regular file.
    NotAFile,
    /// The file has content and no length, like the files below `/proc`, which the system makes when they are read.
    NoLength,
    /// The system cannot map the file, like the files below `/sys`.
    Unmappable,
    /// The file is mapped in another mode already.
    OtherMode {
        /// The requested mode.
        requested: MapMode,
        /// The mode in which it is mapped.
        mapped: MapMode,
    },
    /// The file does not have all bytes of the part.
    OutOfRange {
        /// Where the part begins, in bytes.
        start: usize,
        /// Where it ends.
        end: usize,
        /// How long the file is, in bytes.
        byte_length: usize,
    },
    /// The process has almost all maps that the system gives it (Linux: `vm.max_map_count`). The rest is left to the program
    /// itself: an allocator or a garbage collector that gets none ends the process.
    TooManyMaps {
        /// How many it has.
        maps: usize,
        /// How many it may have.
        limit: usize,
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
                    "the system makes it when it is read, so it has no length to map; copy it into a regular file first"
                )
            }
            MapProblem::Unmappable => {
                write!(f, "the system cannot map this file; copy it into a regular file first")
            }
            MapProblem::OutOfRange { start, end, byte_length } => {
                write!(f, "it has no bytes {start}..{end}, but {byte_length} bytes; map a part inside it")
            }
            MapProblem::TooManyMaps { maps, limit } => write!(
                f,
                "this process has {maps} of {limit} maps, and the rest is left to the program itself; drop some, map one \
                 larger part instead of many, or raise the system's vm.max_map_count"
            ),
            MapProblem::OtherMode { requested, mapped } => write!(
                f,
                "it is mapped {mapped} already and cannot be mapped {requested} at the same time; use the same mode"
            ),
        }
    }
}
