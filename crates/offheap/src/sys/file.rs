//! A file in memory.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::fault::Watched;
use crate::{Error, MapMode, MapProblem, StoreKind};

/// The owner of a mapping. Its memory is read by copies alone, since others may write the file.
pub(crate) struct MappedFile {
    // Before the mapping: an address is watched only while it is mapped.
    _watched: Option<Watched>,
    mapping: MmapRaw,
}

/// Which file it is, whatever its name: device and inode.
pub(crate) type FileKey = (u64, u64);

/// A file that is open, and can be mapped. Opening and mapping allocate nothing, unlike those of std.
pub(crate) struct OpenedFile {
    file: File,
    key: FileKey,
}

impl OpenedFile {
    pub(crate) fn open(path: &CStr, mode: MapMode) -> Result<OpenedFile, MapProblem> {
        // Asked before opening: opening a pipe would wait for its other end.
        check_regular(&rustix::fs::stat(path).map_err(system)?)?;
        let access = if mode == MapMode::ReadWrite { OFlags::RDWR } else { OFlags::RDONLY };
        let file = rustix::fs::open(path, access | OFlags::CLOEXEC, Mode::empty()).map_err(system)?;
        let stat = rustix::fs::fstat(&file).map_err(system)?;
        check_regular(&stat)?;
        if stat.st_size == 0 {
            return Err(MapProblem::Empty);
        }
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "the types differ between platforms")]
        let key = (stat.st_dev as u64, u64::from(stat.st_ino));
        Ok(OpenedFile { file: file.into(), key })
    }

    pub(crate) fn key(&self) -> FileKey {
        self.key
    }
}

fn system(error: rustix::io::Errno) -> MapProblem {
    MapProblem::Io(error.into())
}

fn check_regular(stat: &Stat) -> Result<(), MapProblem> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(MapProblem::Directory),
        _ => Err(MapProblem::NotAFile),
    }
}

/// What keeps a file from being mapped, or its name from being kept.
pub(crate) enum MapFailure {
    Problem(MapProblem),
    Error(Error),
}

impl From<MapProblem> for MapFailure {
    fn from(problem: MapProblem) -> MapFailure {
        MapFailure::Problem(problem)
    }
}

impl From<io::Error> for MapFailure {
    fn from(error: io::Error) -> MapFailure {
        MapFailure::Problem(MapProblem::Io(error))
    }
}

impl From<Error> for MapFailure {
    fn from(error: Error) -> MapFailure {
        MapFailure::Error(error)
    }
}

impl MappedFile {
    /// Maps `file`, which was opened by the name `path`.
    pub(crate) fn map(file: &OpenedFile, path: &CStr, mode: MapMode) -> Result<Self, MapFailure> {
        let (options, file) = (MmapOptions::new(), &file.file);
        let mapping = match mode {
            MapMode::ReadOnly => options.map_raw_read_only(file)?,
            MapMode::ReadWrite => options.map_raw(file)?,
            // SAFETY: I-BORROW: no slice of the mapping is ever made; `MmapRaw` gives its address alone.
            MapMode::CopyOnWrite => unsafe { options.map_copy(file) }?.into(),
        };
        let watched = Watched::new(mapping.as_ptr().addr(), mapping.len(), path)?;
        Ok(MappedFile { _watched: watched, mapping })
    }

    pub(crate) fn kind(mode: MapMode) -> StoreKind {
        StoreKind::Mapped(mode)
    }

    pub(crate) fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Writes what was changed to the file, and waits until it is there.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.mapping.flush()
    }

    pub(crate) fn memory(&self) -> NonNull<[u8]> {
        let start = NonNull::new(self.mapping.as_mut_ptr()).expect("a mapping is not at null");
        NonNull::slice_from_raw_parts(start, self.mapping.len())
    }
}
