//! `StoreCursor`: reads and writes a store as a file is read and written.

use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::{BackingStore, Error, MapProblem};

/// A place in a store, from which bytes are read and to which they are written, by copies.
///
/// [`BackingStore::cursor`] makes it. It holds a reference to the store. Each read and each write is a copy by the rules of
/// the store's kind:
///
/// - Reads work while the store is exposed, as [`BackingStore::copy_to_slice`] does.
/// - Writes work for shared memory and writable maps at any time, and for other memory while it is exposed nowhere and no
///   guard lives. A write does not make the store longer: at its end, `write` returns 0 and `write_all` fails.
///
/// An error of the store is in the [`io::Error`]: `error.get_ref()` returns it. For a [`FrozenStore`](crate::FrozenStore) or
/// a [`UniqueStore`](crate::UniqueStore), [`io::Cursor`] does the same without copies.
///
/// ```
/// use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
/// use offheap::SharedStore;
///
/// let store = SharedStore::zeroed(8)?;
/// let mut cursor = store.as_store().cursor();
/// write!(cursor, "one\ntwo\n")?;
/// cursor.seek(SeekFrom::Start(4))?;
/// let mut line = String::new();
/// BufReader::new(cursor).read_line(&mut line)?;
/// assert_eq!(line, "two\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StoreCursor {
    store: BackingStore,
    position: u64,
}

impl Clone for StoreCursor {
    #[track_caller]
    fn clone(&self) -> Self {
        StoreCursor { store: self.store.clone(), position: self.position }
    }
}

impl BackingStore {
    /// A cursor at the first byte, for [`Read`], [`Write`] and [`Seek`]. It is also the one for a
    /// [`SharedStore`](crate::SharedStore) (`shared.as_store().cursor()`) and for a [`Mapped`](crate::Mapped) file
    /// (`mapped.store().cursor()`).
    #[track_caller]
    pub fn cursor(&self) -> StoreCursor {
        StoreCursor { store: self.clone(), position: 0 }
    }
}

impl StoreCursor {
    /// The place of the next read or write, in bytes from the start of the handle's bytes. It may lie beyond their end.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The store.
    pub fn store(&self) -> &BackingStore {
        &self.store
    }

    /// Makes a copy of at most that many bytes at the present place, and moves the place behind them.
    fn advance(
        &mut self,
        byte_length: usize,
        copy: impl FnOnce(&BackingStore, usize, usize) -> Result<(), Error>,
    ) -> io::Result<usize> {
        let end = self.store.present_byte_length()?;
        let start = usize::try_from(self.position).unwrap_or(usize::MAX).min(end);
        let count = byte_length.min(end - start);
        copy(&self.store, start, count)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Read for StoreCursor {
    /// Copies bytes out. It returns 0 at the end of the store.
    ///
    /// # Errors
    /// Those of [`BackingStore::copy_to_slice`].
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.advance(into.len(), |store, start, count| store.copy_to_slice(start, &mut into[..count]))
    }
}

impl Write for StoreCursor {
    /// Copies bytes in. It returns 0 at the end of the store.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Exposed`], [`Error::HostMayWrite`] and [`Error::Busy`] for unshared memory,
    /// [`Error::Freed`].
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.advance(from.len(), |store, start, count| store.copy_from_slice_scope(None, start, &from[..count]))
    }

    /// Does nothing, since each write is in the store when it returns. [`Mapped::flush`](crate::Mapped::flush) writes changes
    /// to a file.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for StoreCursor {
    /// Moves the place. `SeekFrom::End` counts from the present end of the store.
    ///
    /// # Errors
    /// `InvalidInput` for a place before the start.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(difference) => self.position.checked_add_signed(difference),
            SeekFrom::End(difference) => (self.store.byte_length() as u64).checked_add_signed(difference),
        };
        let before_the_start =
            || io::Error::new(io::ErrorKind::InvalidInput, "cannot seek before the start of a store");
        self.position = position.ok_or_else(before_the_start)?;
        Ok(self.position)
    }
}

impl From<Error> for io::Error {
    /// The error inside of an `io::Error`, whose kind says what it is about: `OutOfMemory`, `PermissionDenied` for read-only
    /// memory, `ResourceBusy` while other code uses the bytes, the system's kind for a file, and `Other`.
    fn from(error: Error) -> io::Error {
        let kind = match &error {
            Error::TooLarge { .. } | Error::OutOfMemory { .. } | Error::OverBudget { .. } => io::ErrorKind::OutOfMemory,
            Error::ReadOnly { .. } => io::ErrorKind::PermissionDenied,
            Error::Busy { .. }
            | Error::Exposed { .. }
            | Error::OtherIsolate { .. }
            | Error::HostMayWrite { .. }
            | Error::EngineMayShrink { .. } => io::ErrorKind::ResourceBusy,
            Error::Map { problem: MapProblem::Io(error), .. } => error.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
