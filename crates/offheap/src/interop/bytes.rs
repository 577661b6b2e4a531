//! `bytes::Bytes` is frozen, since its clones may read it on any thread. `bytes::BytesMut` has its bytes to itself.

use std::ptr::NonNull;

use crate::{BackingStore, FrozenOwner, FrozenStore, Owner, Rejected, UniqueStore};

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

impl TryFrom<bytes::BytesMut> for BackingStore {
    type Error = Rejected<bytes::BytesMut>;

    /// [`BackingStore::from_owner`].
    #[track_caller]
    fn try_from(bytes: bytes::BytesMut) -> Result<BackingStore, Rejected<bytes::BytesMut>> {
        BackingStore::from_owner(bytes)
    }
}

impl From<FrozenStore> for bytes::Bytes {
    /// The bytes where they are, without a copy. The `Bytes` and its clones are one reference to the store.
    ///
    /// ```
    /// use offheap::FrozenStore;
    ///
    /// let store = FrozenStore::from_owner(vec![1u8, 2, 3])?;
    /// let bytes = bytes::Bytes::from(store.slice(1..)?);
    /// assert_eq!((&bytes[..], bytes.as_ptr()), (&[2, 3][..], store[1..].as_ptr()));
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// The crate `bytes` allocates the place for its reference, about 40 bytes, and ends the process if there is no memory
    /// for it.
    fn from(store: FrozenStore) -> bytes::Bytes {
        bytes::Bytes::from_owner(store)
    }
}
