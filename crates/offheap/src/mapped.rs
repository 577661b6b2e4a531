//! `Mapped`: a file of any size in memory, which is never read as a whole.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CStr, OsString};
use std::fmt;
use std::io;
use std::ops::RangeBounds;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxBuildHasher;

use crate::raw::{FileOwner, RawStore};
use crate::store::bounds;
use crate::sys::{FileKey, MapFailure, MappedFile, OpenedFile};
use crate::{BackingStore, Error, MapMode, MapProblem, Site};

/// A file mapped into memory.
///
/// Other processes may write the file, so its bytes are never lent as a slice: they are read and written by copies. If
/// script may write them (`CopyOnWrite` and `ReadWrite`) they are shared memory: an engine has them as a
/// `SharedArrayBuffer`, whose functions allow for other writers, and any number of isolates may have them.
/// `SharedStore::try_from` turns such a map into a [`SharedStore`](crate::SharedStore), which has atomics too.
///
/// The map of an empty file has no bytes, even if the file gets longer afterwards. If another program truncates the file
/// while it is mapped, an access to the missing bytes raises SIGBUS; a program can turn that into a message with
/// [`exit_when_a_mapped_file_is_cut_short`](crate::exit_when_a_mapped_file_is_cut_short).
///
/// A clone is another handle to the same mapping; the last reference to its store unmaps it. Any thread may use it.
///
/// ```
/// use offheap::{MapMode, Mapped};
///
/// let path = std::env::temp_dir().join(format!("offheap-doc-{}", std::process::id()));
/// std::fs::write(&path, "some bytes")?;
/// let mapped = Mapped::open(&path, MapMode::CopyOnWrite)?;
/// mapped.copy_from_slice(0, b"more")?;
/// assert_eq!(mapped.store().to_vec()?, b"more bytes");
/// assert_eq!(std::fs::read(&path)?, b"some bytes");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Mapped {
    store: BackingStore,
}

/// Kept beside the mapping: the file's name, and its entry in the list of open files.
struct Opened {
    path: PathBuf,
    _entry: OpenFile,
}

impl Clone for Mapped {
    #[track_caller]
    fn clone(&self) -> Self {
        Mapped { store: self.store.clone() }
    }
}

impl Mapped {
    /// Maps the whole file at `path`.
    ///
    /// # Errors
    /// [`Error::Map`]: the file is missing, not readable (or, for `ReadWrite`, not writable), a directory, not a regular
    /// file, or one below `/proc` or the like, whose length is not known before it is read; or this process has it mapped
    /// in another mode already, and one of the two modes is `ReadWrite`; or the process has almost all maps that the system
    /// gives it ([`MapProblem::TooManyMaps`]). [`Error::OutOfMemory`].
    #[track_caller]
    pub fn open(path: impl AsRef<Path>, mode: MapMode) -> Result<Mapped, Error> {
        Self::open_part(path, mode, ..)
    }

    /// Maps the bytes of a range of the file at `path`: the pages on which they are, and no others.
    ///
    /// ```
    /// use offheap::{MapMode, Mapped};
    ///
    /// let path = std::env::temp_dir().join(format!("offheap-part-{}", std::process::id()));
    /// std::fs::write(&path, vec![7; 100_000])?;
    /// let part = Mapped::open_part(&path, MapMode::ReadOnly, 50_000..50_010)?;
    /// assert_eq!(part.store().to_vec()?, [7; 10]);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`open`](Self::open); [`Error::Map`] also if the file does not have all these bytes
    /// ([`MapProblem::OutOfRange`]).
    #[track_caller]
    pub fn open_part(path: impl AsRef<Path>, mode: MapMode, range: impl RangeBounds<usize>) -> Result<Mapped, Error> {
        let (path, site) = (path.as_ref(), Site::here());
        Self::map(path, mode, range, site).map_err(|failure| match failure {
            MapFailure::Problem(problem) => map_error(path, problem),
            MapFailure::Error(error) => error,
        })
    }

    fn map(path: &Path, mode: MapMode, range: impl RangeBounds<usize>, site: Site) -> Result<Mapped, MapFailure> {
        let mut name = copy_of(path, 1)?;
        name.push(0);
        // No file has a name with a zero byte in it.
        let name = CStr::from_bytes_with_nul(&name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let file = OpenedFile::open(name, mode)?;
        let entry = OpenFile::register(file.key(), mode)?;
        let file = MappedFile::map(&file, name, mode, bounds(range, file.byte_length()))?;
        let path = PathBuf::from(OsString::from_vec(copy_of(path, 0)?));
        let raw = RawStore::of_file(file, Opened { path, _entry: entry }, site)?;
        Ok(Mapped { store: BackingStore::of_new(raw) })
    }

    fn owner(&self) -> &FileOwner<Opened> {
        self.store.raw().file_owner().expect("made from one")
    }

    /// The path that was given.
    pub fn path(&self) -> &Path {
        &self.owner().with().path
    }

    /// The mode in which it is mapped.
    pub fn mode(&self) -> MapMode {
        self.owner().file().mode()
    }

    /// The length in bytes: that of the part, or the one that the file had when all of it was mapped.
    pub fn byte_length(&self) -> usize {
        self.owner().file().len()
    }

    /// The store. If it exceeds an engine's limit, expose a part of it ([`BackingStore::slice`]).
    pub fn store(&self) -> &BackingStore {
        &self.store
    }

    pub(crate) fn into_store(self) -> BackingStore {
        self.store
    }

    /// Copies bytes into the mapping, starting at byte `offset`. It may be exposed anywhere.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] unless it is mapped `CopyOnWrite` or `ReadWrite`, [`Error::OutOfRange`].
    pub fn copy_from_slice(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        self.store.copy_from_slice_scope(None, offset, from)
    }

    /// Writes all changes to the file, and waits until that is done. Without this the system writes them some time later.
    ///
    /// # Errors
    /// [`Error::Map`] with the system's error.
    pub fn flush(&self) -> Result<(), Error> {
        self.owner().file().flush().map_err(|error| map_error(self.path(), MapProblem::Io(error)))
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped")
            .field("path", &self.path())
            .field("mode", &self.mode())
            .field("byte_length", &self.byte_length())
            .finish()
    }
}

/// A copy of a path's bytes, with room for that many more.
fn copy_of(path: &Path, room: usize) -> Result<Vec<u8>, Error> {
    let bytes = path.as_os_str().as_bytes();
    let (mut copy, requested) = (Vec::new(), bytes.len() + room);
    copy.try_reserve_exact(requested).map_err(|_| Error::OutOfMemory { requested })?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

fn map_error(path: &Path, problem: MapProblem) -> Error {
    match copy_of(path, 0) {
        Ok(path) => Error::Map { path: PathBuf::from(OsString::from_vec(path)), problem },
        Err(error) => error,
    }
}

/// The files that this process has mapped, by device and inode. A file that is mapped `ReadWrite` is mapped in no other
/// mode, since the other modes promise that this process does not write it.
static OPEN_FILES: Mutex<HashMap<FileKey, Mappings, FxBuildHasher>> = Mutex::new(HashMap::with_hasher(FxBuildHasher));

/// The mode in which a file is mapped, and the number of its mappings.
struct Mappings {
    mode: MapMode,
    count: usize,
}

struct OpenFile {
    key: FileKey,
}

impl OpenFile {
    fn register(key: FileKey, requested: MapMode) -> Result<OpenFile, MapFailure> {
        let mut files = OPEN_FILES.lock().unwrap_or_else(PoisonError::into_inner);
        files.try_reserve(1).map_err(|_| Error::OutOfMemory { requested: size_of::<(FileKey, Mappings)>() })?;
        match files.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Mappings { mode: requested, count: 1 });
            }
            Entry::Occupied(mut entry) => {
                let Mappings { mode: mapped, count } = entry.get_mut();
                if *mapped != requested && (*mapped == MapMode::ReadWrite || requested == MapMode::ReadWrite) {
                    return Err(MapProblem::OtherMode { requested, mapped: *mapped }.into());
                }
                *count += 1;
            }
        }
        Ok(OpenFile { key })
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let mut files = OPEN_FILES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = files.entry(self.key) {
            entry.get_mut().count -= 1;
            if entry.get().count == 0 {
                entry.remove();
            }
        }
    }
}
