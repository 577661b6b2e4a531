//! `memmap2::MmapMut`: anonymous memory, or a file that its creator promised nobody else writes.

use std::ptr::NonNull;

use crate::{BackingStore, Owner, Rejected, UniqueStore};

// SAFETY: I-OWNER-SEND: a mapping stays where it is. A `MmapMut` lends its bytes as slices. To make one over a file is
// `unsafe`, and its caller promises that nobody else writes or truncates the file. `Mapped` needs no such promise.
unsafe impl Owner for memmap2::MmapMut {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::from(&mut **self)
    }
}

impl TryFrom<memmap2::MmapMut> for UniqueStore {
    type Error = Rejected<memmap2::MmapMut>;

    /// [`UniqueStore::from_owner`].
    #[track_caller]
    fn try_from(mapping: memmap2::MmapMut) -> Result<UniqueStore, Rejected<memmap2::MmapMut>> {
        UniqueStore::from_owner(mapping)
    }
}

impl TryFrom<memmap2::MmapMut> for BackingStore {
    type Error = Rejected<memmap2::MmapMut>;

    /// [`BackingStore::from_owner`].
    #[track_caller]
    fn try_from(mapping: memmap2::MmapMut) -> Result<BackingStore, Rejected<memmap2::MmapMut>> {
        BackingStore::from_owner(mapping)
    }
}
