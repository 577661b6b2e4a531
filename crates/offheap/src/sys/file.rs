//! A file in memory.

use std::fs::File;
use std::io;
use std::path::Path;
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};

use super::fault::Watched;
use crate::{MapMode, StoreKind};

/// The owner of a mapping. Its memory is read by copies alone, since others may write the file.
pub(crate) struct MappedFile {
    // Before the mapping: an address is watched only while it is mapped.
    _watched: Option<Watched>,
    mapping: MmapRaw,
}

impl MappedFile {
    pub(crate) fn map(file: &File, path: &Path, mode: MapMode) -> io::Result<Self> {
        let options = MmapOptions::new();
        let mapping = match mode {
            MapMode::ReadOnly => options.map_raw_read_only(file)?,
            MapMode::ReadWrite => options.map_raw(file)?,
            // SAFETY: I-BORROW: no slice of the mapping is ever made; `MmapRaw` gives its address alone.
            MapMode::CopyOnWrite => unsafe { options.map_copy(file) }?.into(),
        };
        let watched = Watched::new(mapping.as_ptr().addr(), mapping.len(), path);
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
