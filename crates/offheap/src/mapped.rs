//! `Mapped`: a file in memory, of any size, never read as a whole.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::raw::{Memory, RawStore};
use crate::sys::MappedFile;
use crate::{BackingStore, Error, MapMode, MapProblem, Site};

/// A file mapped into memory.
///
/// Other processes may write the file, so its bytes are never lent as a slice: they are read and written by copies. A
/// file that somebody cuts short while it is mapped raises SIGBUS when the missing bytes are touched; a program can turn
/// that into a message with [`exit_when_a_mapped_file_is_cut_short`](crate::exit_when_a_mapped_file_is_cut_short).
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
#[derive(Clone)]
pub struct Mapped {
    store: BackingStore,
}

/// The owner of a mapped store: the mapping, and the file's entry among those that are open.
struct MappedOwner {
    file: MappedFile,
    path: PathBuf,
    mode: MapMode,
    _open: OpenFile,
}

impl Mapped {
    /// Maps the whole file at `path`.
    ///
    /// # Errors
    /// [`Error::Map`]: the file is missing, empty, not readable (or, for `ReadWrite`, not writable), a directory, not a
    /// regular file; it is mapped `ReadWrite` here and in another mode elsewhere in this process, or the reverse.
    #[track_caller]
    pub fn open(path: impl AsRef<Path>, mode: MapMode) -> Result<Mapped, Error> {
        let path = path.as_ref();
        let site = Site::here();
        Self::map(path, mode, site).map_err(|problem| Error::Map { path: path.to_path_buf(), problem })
    }

    fn map(path: &Path, mode: MapMode, site: Site) -> Result<Mapped, MapProblem> {
        // Asked before opening: opening a pipe would wait for its other end.
        check_regular(&fs::metadata(path).map_err(MapProblem::Io)?)?;
        let writable = mode == MapMode::ReadWrite;
        let file = OpenOptions::new().read(true).write(writable).open(path).map_err(MapProblem::Io)?;
        let metadata = file.metadata().map_err(MapProblem::Io)?;
        check_regular(&metadata)?;
        if metadata.len() == 0 {
            return Err(MapProblem::Empty);
        }
        let open = OpenFile::register(&metadata, mode)?;
        let owner = Self::owner(file, path, mode, open).map_err(MapProblem::Io)?;
        let memory = Memory::from(owner.file.memory());
        match RawStore::new(owner, MappedFile::kind(mode), site, |_| memory) {
            Ok(raw) => Ok(Mapped { store: BackingStore::from_raw(raw) }),
            Err(_) => Err(MapProblem::Io(io::ErrorKind::OutOfMemory.into())),
        }
    }

    fn owner(file: File, path: &Path, mode: MapMode, open: OpenFile) -> io::Result<MappedOwner> {
        let file = MappedFile::map(&file, path, mode)?;
        Ok(MappedOwner { file, path: path.to_path_buf(), mode, _open: open })
    }

    fn mapped_owner(&self) -> &MappedOwner {
        self.store.raw().owner().expect("made from one")
    }

    /// The file, as it was named.
    pub fn path(&self) -> &Path {
        &self.mapped_owner().path
    }

    /// How it is mapped.
    pub fn mode(&self) -> MapMode {
        self.mapped_owner().mode
    }

    /// The length in bytes, which is that of the file when it was mapped.
    pub fn byte_length(&self) -> usize {
        self.mapped_owner().file.len()
    }

    /// The store, to expose it whole, or a part of it where it is larger than an engine's limit
    /// ([`BackingStore::slice`]).
    pub fn store(&self) -> &BackingStore {
        &self.store
    }

    pub(crate) fn into_store(self) -> BackingStore {
        self.store
    }

    /// Copies bytes into the mapping, while no isolate has it.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] unless it is mapped `CopyOnWrite` or `ReadWrite`, [`Error::OutOfRange`], [`Error::Busy`],
    /// [`Error::Exposed`].
    pub fn copy_from_slice(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        self.store.copy_from_slice_scope(None, offset, from)
    }

    /// Writes what was changed to the file, and waits until it is there. The system does so by itself in its own time.
    ///
    /// # Errors
    /// [`Error::Map`] with what the system says.
    pub fn flush(&self) -> Result<(), Error> {
        let owner = self.mapped_owner();
        owner.file.flush().map_err(|error| Error::Map { path: owner.path.clone(), problem: MapProblem::Io(error) })
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

fn check_regular(metadata: &fs::Metadata) -> Result<(), MapProblem> {
    if metadata.is_dir() {
        return Err(MapProblem::Directory);
    }
    if !metadata.is_file() {
        return Err(MapProblem::NotAFile);
    }
    Ok(())
}

/// The files that are mapped in this process, by device and inode: one that is written through a mapping is mapped in no
/// other mode, since the others promise that nobody here writes it.
static OPEN_FILES: Mutex<Option<HashMap<FileKey, Mappings>>> = Mutex::new(None);

/// Device and inode.
type FileKey = (u64, u64);

/// In which mode a file is mapped, and how often.
struct Mappings {
    mode: MapMode,
    count: usize,
}

struct OpenFile {
    key: FileKey,
}

impl OpenFile {
    fn register(metadata: &fs::Metadata, requested: MapMode) -> Result<OpenFile, MapProblem> {
        let key = (metadata.dev(), metadata.ino());
        let mut files = OPEN_FILES.lock().unwrap_or_else(PoisonError::into_inner);
        match files.get_or_insert_default().entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Mappings { mode: requested, count: 1 });
            }
            Entry::Occupied(mut entry) => {
                let Mappings { mode: mapped, count } = entry.get_mut();
                if *mapped != requested && (*mapped == MapMode::ReadWrite || requested == MapMode::ReadWrite) {
                    return Err(MapProblem::OtherMode { requested, mapped: *mapped });
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
        if let Some(files) = files.as_mut()
            && let Entry::Occupied(mut entry) = files.entry(self.key)
        {
            entry.get_mut().count -= 1;
            if entry.get().count == 0 {
                entry.remove();
            }
        }
    }
}
