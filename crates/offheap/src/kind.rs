//! What sort of memory a store is.

use std::fmt;

/// What sort of memory a store is; fixed when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreKind {
    /// Memory of an owner, with one length.
    Fixed,
    /// Memory with room reserved behind it: its length changes when it is resized, its address does not.
    Resizable,
    /// Memory that any number of threads, or processes, read and write at the same time, whoever made it; see
    /// [`SharedStore`](crate::SharedStore).
    Shared,
    /// Memory that nobody writes.
    Frozen,
    /// Unshared memory of an engine which script may make longer and shorter: a resizable `ArrayBuffer` that V8 made. What
    /// a shorter length takes away is gone at once, so that nobody reads it from outside of its isolate while it is
    /// exposed: that is [`Error::EngineMayShrink`](crate::Error::EngineMayShrink).
    EngineResizable,
    /// Unshared memory of an engine which gets longer and never shorter: a WebAssembly memory.
    EngineGrowable,
    /// Memory that is freed by hand.
    Manual,
    /// A file that is mapped read-only; see [`Mapped`](crate::Mapped). A map that script may write is [`Shared`](Self::Shared).
    Mapped,
}

impl StoreKind {
    /// Whether its length may get less, so that a part of it may be out of bounds.
    #[inline]
    pub(crate) fn may_shrink(self) -> bool {
        matches!(self, StoreKind::Resizable | StoreKind::EngineResizable)
    }

    /// Whether script and native code may only read it.
    #[inline]
    pub fn is_read_only(self) -> bool {
        matches!(self, StoreKind::Frozen | StoreKind::Mapped)
    }
}

/// How a file is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapMode {
    /// Its bytes may be read.
    ReadOnly,
    /// Its bytes may be written, which the file never sees. What somebody else writes to the file may be seen until then.
    CopyOnWrite,
    /// Its bytes may be written, and the file changes with them.
    ReadWrite,
}

impl fmt::Display for MapMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MapMode::ReadOnly => "ro",
            MapMode::CopyOnWrite => "cow",
            MapMode::ReadWrite => "rw",
        })
    }
}
