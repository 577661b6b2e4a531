//! `memmap2::MmapMut`: anonymous memory, or a file whose caller answers for everybody else who might write it.

use std::ptr::NonNull;

use crate::{Owner, Rejected, UniqueStore};

// SAFETY: I-OWNER-SEND: a mapping stays where it is. A `MmapMut` lends its bytes as slices, so whoever made one over a
// file, which is `unsafe`, has said that nobody else writes or cuts that short; `Mapped` is for files without such a say.
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
