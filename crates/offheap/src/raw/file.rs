//! Blocks over mapped files.

use super::{Memory, RawStore};
use crate::sys::MappedFile;
use crate::{Error, Site, StoreKind};

/// The owner of a mapped file: the mapping, and a value that is dropped after it.
pub(crate) struct FileOwner<T> {
    file: MappedFile,
    with: T,
}

impl RawStore {
    /// A block over `file`. `with` is dropped after the file was unmapped.
    pub(crate) fn of_file<T: Send + 'static>(file: MappedFile, with: T, site: Site) -> Result<RawStore, Error> {
        let kind = StoreKind::mapped(file.mode());
        let memory = |owner: &mut FileOwner<T>| Memory::from(owner.file.memory());
        RawStore::new(FileOwner { file, with }, kind, site, memory).map_err(|(error, _)| error)
    }

    /// The owner of a block that [`of_file`](Self::of_file) made with a `T`; `None` for any other block.
    pub(crate) fn file_owner<T: Sync + 'static>(&self) -> Option<&FileOwner<T>> {
        self.owner()
    }
}

impl<T> FileOwner<T> {
    pub(crate) fn file(&self) -> &MappedFile {
        &self.file
    }

    pub(crate) fn with(&self) -> &T {
        &self.with
    }
}
