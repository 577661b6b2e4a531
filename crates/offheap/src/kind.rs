//! Kinds of memory.

use std::fmt;

/// The kind of memory that a store has. It never changes.
///
/// A kind says how the [length](Self::length) may change, who may [use the bytes at the same time](Self::sharing), and who
/// frees them.
///
/// ```
/// use offheap::{BackingStore, Length, SharedStore, Sharing};
///
/// let store = BackingStore::from(SharedStore::growable(4, 1 << 20)?);
/// assert_eq!((store.kind().length(), store.kind().sharing()), (Length::Growable, Sharing::Shared));
/// assert_eq!(store.kind().to_string(), "growable shared memory");
/// # Ok::<(), offheap::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreKind(
    /// A [`Length`], a [`Sharing`] and a [`Keeper`], each in two bits: one comparison tells whether two kinds are the same.
    u8,
);

const SHARING_SHIFT: u32 = 2;
const KEEPER_SHIFT: u32 = 4;
const PART: u8 = 0b11;

/// How the length of a store may change. Its address never does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Length {
    /// Not at all.
    Fixed,
    /// It gets longer and shorter.
    Resizable,
    /// It gets longer, and never shorter.
    Growable,
}

/// Who may use the bytes of a store at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sharing {
    /// Script of one isolate at a time, and Rust while that script does not run.
    Unshared,
    /// Any number of threads, or processes, which read and write; see [`SharedStore`](crate::SharedStore).
    Shared,
    /// Any number of threads, which only read.
    ReadOnly,
}

/// Who frees the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Keeper {
    /// Its owner in Rust, when the last reference goes.
    Owner,
    /// The program, by hand.
    Program,
    /// An engine, which also changes the length.
    Engine,
    /// The system, when the file is unmapped.
    File,
}

impl StoreKind {
    /// Memory of an owner, of fixed length.
    pub const FIXED: StoreKind = StoreKind::of(Length::Fixed, Sharing::Unshared, Keeper::Owner);
    /// Memory with addresses reserved behind it. Resizing changes its length and not its address.
    pub const RESIZABLE: StoreKind = StoreKind::of(Length::Resizable, Sharing::Unshared, Keeper::Owner);
    /// Shared memory of an owner, of fixed length.
    pub const SHARED: StoreKind = StoreKind::of(Length::Fixed, Sharing::Shared, Keeper::Owner);
    /// Shared memory with addresses reserved behind it.
    pub const SHARED_GROWABLE: StoreKind = StoreKind::of(Length::Growable, Sharing::Shared, Keeper::Owner);
    /// Memory of an owner that nobody writes.
    pub const FROZEN: StoreKind = StoreKind::of(Length::Fixed, Sharing::ReadOnly, Keeper::Owner);
    /// A file that is mapped read-only; see [`Mapped`](crate::Mapped). A file that script may write is shared memory.
    pub const MAPPED: StoreKind = StoreKind::of(Length::Fixed, Sharing::ReadOnly, Keeper::File);
    /// Memory of fixed length that is freed by hand.
    pub const MANUAL: StoreKind = StoreKind::of(Length::Fixed, Sharing::Unshared, Keeper::Program);
    /// Unshared memory of an engine that script may make longer and shorter: a resizable `ArrayBuffer` that V8 made. The
    /// bytes behind a shorter length are gone at once, so while it is exposed they are read only in its isolate; from
    /// elsewhere that is [`Error::EngineMayShrink`](crate::Error::EngineMayShrink).
    pub const ENGINE_RESIZABLE: StoreKind = StoreKind::of(Length::Resizable, Sharing::Unshared, Keeper::Engine);
    /// Unshared memory of an engine that gets longer and never shorter: a WebAssembly memory.
    pub const ENGINE_GROWABLE: StoreKind = StoreKind::of(Length::Growable, Sharing::Unshared, Keeper::Engine);
    /// Shared memory of an engine: a growable `SharedArrayBuffer` that V8 made, or a shared WebAssembly memory.
    pub const ENGINE_SHARED: StoreKind = StoreKind::of(Length::Growable, Sharing::Shared, Keeper::Engine);

    const fn of(length: Length, sharing: Sharing, keeper: Keeper) -> StoreKind {
        StoreKind(length as u8 | (sharing as u8) << SHARING_SHIFT | (keeper as u8) << KEEPER_SHIFT)
    }

    #[inline]
    const fn has_sharing(self, sharing: Sharing) -> bool {
        self.0 >> SHARING_SHIFT & PART == sharing as u8
    }

    #[inline]
    const fn has_keeper(self, keeper: Keeper) -> bool {
        self.0 >> KEEPER_SHIFT & PART == keeper as u8
    }

    /// Manual memory. With `length_changes` it is resizable, or growable if it is shared.
    pub(crate) fn manual(shared: bool, length_changes: bool) -> StoreKind {
        let (sharing, changing) = match shared {
            true => (Sharing::Shared, Length::Growable),
            false => (Sharing::Unshared, Length::Resizable),
        };
        StoreKind::of(if length_changes { changing } else { Length::Fixed }, sharing, Keeper::Program)
    }

    /// A file mapped in this mode. Bytes that script may write are shared memory: V8's `sort` ends the process if other
    /// code writes unshared bytes while it runs. That applies to a private map too, which shows writes of other programs to
    /// the file.
    pub(crate) fn mapped(mode: MapMode) -> StoreKind {
        match mode {
            MapMode::ReadOnly => StoreKind::MAPPED,
            MapMode::CopyOnWrite | MapMode::ReadWrite => StoreKind::of(Length::Fixed, Sharing::Shared, Keeper::File),
        }
    }

    /// How the length may change.
    #[inline]
    pub const fn length(self) -> Length {
        match self.0 & PART {
            0 => Length::Fixed,
            1 => Length::Resizable,
            _ => Length::Growable,
        }
    }

    /// Who may use the bytes at the same time.
    #[inline]
    pub const fn sharing(self) -> Sharing {
        match self.0 >> SHARING_SHIFT & PART {
            0 => Sharing::Unshared,
            1 => Sharing::Shared,
            _ => Sharing::ReadOnly,
        }
    }

    /// Whether it is [`Sharing::Shared`]: an engine has it as a `SharedArrayBuffer`.
    #[inline]
    pub const fn is_shared(self) -> bool {
        self.has_sharing(Sharing::Shared)
    }

    /// Whether it is [`Sharing::ReadOnly`]: neither script nor native code may write it.
    #[inline]
    pub const fn is_read_only(self) -> bool {
        self.has_sharing(Sharing::ReadOnly)
    }

    /// Whether its length may shrink, so that a part of it may be out of bounds.
    #[inline]
    pub const fn may_shrink(self) -> bool {
        self.0 & PART == Length::Resizable as u8
    }

    /// Whether it is resizable memory that is not an engine's. Its buffers are resizable, and it has at most one at a time.
    #[inline]
    pub const fn is_resizable_by_rust(self) -> bool {
        self.may_shrink() && !self.is_of_engine()
    }

    /// Whether it is freed by hand; see [`ManualMemory`](crate::ManualMemory).
    #[inline]
    pub const fn is_manual(self) -> bool {
        self.has_keeper(Keeper::Program)
    }

    /// Whether an engine owns the memory and changes its length.
    #[inline]
    pub const fn is_of_engine(self) -> bool {
        self.has_keeper(Keeper::Engine)
    }

    /// Whether it is a mapped file, written or not; see [`Mapped`](crate::Mapped).
    #[inline]
    pub const fn is_file(self) -> bool {
        self.has_keeper(Keeper::File)
    }
}

impl fmt::Display for StoreKind {
    /// A noun for messages: `growable shared memory`, `a mapped file`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_file(), self.is_read_only()) {
            (true, true) => return f.write_str("a mapped file"),
            (true, false) => return f.write_str("a mapped file that may be written"),
            (false, true) => return f.write_str("frozen memory"),
            (false, false) => {}
        }
        f.write_str(if self.is_manual() { "manual " } else { "" })?;
        f.write_str(match self.length() {
            Length::Fixed => "",
            Length::Resizable => "resizable ",
            Length::Growable => "growable ",
        })?;
        f.write_str(if self.is_shared() { "shared memory" } else { "unshared memory" })?;
        f.write_str(if self.is_of_engine() { " of an engine" } else { "" })
    }
}

impl fmt::Debug for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKind({self})")
    }
}

/// How a file is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapMode {
    /// Its bytes may be read.
    ReadOnly,
    /// Its bytes may be written, and the file stays as it is. A write of another program to the file may be seen until the
    /// page is written here.
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_in_messages() {
        let names = [
            (StoreKind::FIXED, "unshared memory"),
            (StoreKind::RESIZABLE, "resizable unshared memory"),
            (StoreKind::SHARED, "shared memory"),
            (StoreKind::FROZEN, "frozen memory"),
            (StoreKind::MAPPED, "a mapped file"),
            (StoreKind::mapped(MapMode::ReadWrite), "a mapped file that may be written"),
            (StoreKind::manual(true, true), "manual growable shared memory"),
            (StoreKind::manual(false, false), "manual unshared memory"),
            (StoreKind::ENGINE_RESIZABLE, "resizable unshared memory of an engine"),
        ];
        for (kind, name) in names {
            assert_eq!(kind.to_string(), name);
        }
        assert_eq!(StoreKind::manual(false, false), StoreKind::MANUAL);
    }
}
