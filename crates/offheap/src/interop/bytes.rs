//! `bytes::Bytes` is frozen, since its clones may read it on any thread. `bytes::BytesMut` has its bytes to itself.

use std::ptr::NonNull;

use crate::{FrozenOwner, FrozenStore, Owner, Rejected, UniqueStore};

// SAFETY: I-OWNER-SEND: the bytes of a `Bytes` are never written while a clone of it lives, any thread may read them, and
// they do not move when it moves.
unsafe impl FrozenOwner for bytes::Bytes {
    fn memory(&self) -> NonNull<[u8]> {
        NonNull::from(&**self)
    }
}

// SAFETY: I-OWNER-SEND: only a `BytesMut` uses its bytes, even if it was split from another one, and they stay where they
// are while nothing is appended.
unsafe impl Owner for bytes::BytesMut {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::from(&mut **self)
    }
}

impl TryFrom<bytes::Bytes> for FrozenStore {
    type Error = Rejected<bytes::Bytes>;

    /// [`FrozenStore::from_owner`].
    #[track_caller]
    fn try_from(bytes: bytes::Bytes) -> Result<FrozenStore, Rejected<bytes::Bytes>> {
        FrozenStore::from_owner(bytes)
    }
}

impl TryFrom<bytes::BytesMut> for UniqueStore {
    type Error = Rejected<bytes::BytesMut>;

    /// [`UniqueStore::from_owner`].
    #[track_caller]
    fn try_from(bytes: bytes::BytesMut) -> Result<UniqueStore, Rejected<bytes::BytesMut>> {
        UniqueStore::from_owner(bytes)
    }
}
