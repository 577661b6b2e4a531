//! Mapping files.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::fault::Watched;
use super::maps;
use crate::{Error, MapMode, MapProblem};

/// The owner of a mapping. Its memory is only read by copies, since other programs may write the file.
pub(crate) struct MappedFile {
    // Before the mapping: an address is watched only while it is mapped.
    _watched: Option<Watched>,
    // `None` for an empty file, which the system does not map.
    mapping: Option<MmapRaw>,
    mode: MapMode,
}

/// The identity of a file under any name: its device and inode.
pub(crate) type FileKey = (u64, u64);

/// An open file that can be mapped. Unlike std, opening and mapping allocate nothing.
pub(crate) struct OpenedFile {
    file: File,
    key: FileKey,
    byte_length: usize,
}

impl OpenedFile {
    pub(crate) fn open(path: &CStr, mode: MapMode) -> Result<OpenedFile, MapProblem> {
        // Checked before opening, since opening a pipe would wait for its other end.
        check_regular(&rustix::fs::stat(path).map_err(system)?)?;
        let access = if mode == MapMode::ReadWrite { OFlags::RDWR } else { OFlags::RDONLY };
        let file = rustix::fs::open(path, access | OFlags::CLOEXEC, Mode::empty()).map_err(system)?;
        let stat = rustix::fs::fstat(&file).map_err(system)?;
        check_regular(&stat)?;
        let byte_length = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        // The system makes the content of such a file when it is read.
        if byte_length == 0 && rustix::io::pread(&file, &mut [0_u8], 0).map_err(system)? != 0 {
            return Err(MapProblem::NoLength);
        }
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "the types differ between platforms")]
        let key = (stat.st_dev as u64, u64::from(stat.st_ino));
        Ok(OpenedFile { file: file.into(), key, byte_length })
    }

    pub(crate) fn byte_length(&self) -> usize {
        self.byte_length
    }

    pub(crate) fn key(&self) -> FileKey {
        self.key
    }
}

fn system(error: Errno) -> MapProblem {
    MapProblem::Io(error.into())
}

fn check_regular(stat: &Stat) -> Result<(), MapProblem> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(MapProblem::Directory),
        _ => Err(MapProblem::NotAFile),
    }
}

/// Why a file was not mapped.
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
        MapFailure::Problem(match Errno::from_io_error(&error) {
            Some(Errno::NODEV) => MapProblem::Unmappable,
            _ => MapProblem::Io(error),
        })
    }
}

impl From<Error> for MapFailure {
    fn from(error: Error) -> MapFailure {
        MapFailure::Error(error)
    }
}

impl MappedFile {
    /// Maps the bytes `start..end` of `file`, which was opened by the name `path`: the pages on which they are.
    pub(crate) fn map(
        file: &OpenedFile,
        path: &CStr,
        mode: MapMode,
        (start, end): (usize, usize),
    ) -> Result<Self, MapFailure> {
        let byte_length = end.checked_sub(start).filter(|_| end <= file.byte_length);
        let Some(byte_length) = byte_length else {
            return Err(MapProblem::OutOfRange { start, end, byte_length: file.byte_length }.into());
        };
        if byte_length == 0 {
            return Ok(MappedFile { _watched: None, mapping: None, mode });
        }
        maps::check_room()?;
        let mut options = MmapOptions::new();
        // The address is that of `start`, also where no page begins there.
        options.offset(start as u64).len(byte_length);
        let file = &file.file;
        let mapped = match mode {
            MapMode::ReadOnly => options.map_raw_read_only(file),
            MapMode::ReadWrite => options.map_raw(file),
            // SAFETY: I-BORROW: no slice of the mapping is ever made; `MmapRaw` gives only its address.
            MapMode::CopyOnWrite => unsafe { options.map_copy(file) }.map(MmapRaw::from),
        };
        let mapping = mapped.map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::NOMEM) => maps::problem_without_room().map_or_else(|| error.into(), MapFailure::Problem),
            _ => MapFailure::from(error),
        })?;
        let watched = Watched::new(mapping.as_ptr().addr(), mapping.len(), path)?;
        Ok(MappedFile { _watched: watched, mapping: Some(mapping), mode })
    }

    /// How it was mapped.
    pub(crate) fn mode(&self) -> MapMode {
        self.mode
    }

    pub(crate) fn len(&self) -> usize {
        self.mapping.as_ref().map_or(0, MmapRaw::len)
    }

    /// Writes all changes to the file, and waits until that is done.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.mapping.as_ref().map_or(Ok(()), MmapRaw::flush)
    }

    pub(crate) fn memory(&self) -> NonNull<[u8]> {
        let start = match &self.mapping {
            Some(mapping) => NonNull::new(mapping.as_mut_ptr()).expect("a mapping is not at null"),
            None => NonNull::<u64>::dangling().cast(),
        };
        NonNull::slice_from_raw_parts(start, self.len())
    }
}
