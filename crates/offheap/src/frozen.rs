//! `FrozenStore`: memory that nobody writes.

use std::fmt;
use std::ops::{Deref, RangeBounds};

use crate::raw::{FrozenOwner, FrozenRef, RawStore};
use crate::{BackingStore, Error, Rejected, Site, StoreId};

/// A reference to memory that nobody writes any more, or to a part of it. It derefs to `&[u8]`, on any thread, however often
/// it is exposed.
///
/// An engine that was probed to enforce immutability gets it as an immutable ArrayBuffer. Any other engine gets a copy, and
/// the caller is told.
///
/// ```
/// use std::sync::Arc;
/// use offheap::FrozenStore;
///
/// let table: Arc<[u32]> = vec![2, 3, 5, 7].into();
/// let store = FrozenStore::from_owner(table.clone())?;        // no copy
/// assert_eq!(store.as_ptr(), table.as_ptr().cast());
/// assert_eq!(store.byte_length(), 16);
/// # Ok::<(), offheap::Error>(())
/// ```
///
/// Its bytes are read as those of a file are, through [`std::io::Cursor`]:
/// ```
/// use std::io::{Cursor, Read, Seek, SeekFrom};
/// use offheap::FrozenStore;
///
/// let mut reader = Cursor::new(FrozenStore::from_owner(String::from("one two"))?);
/// reader.seek(SeekFrom::Start(4))?;
/// let mut rest = String::new();
/// reader.read_to_string(&mut rest)?;
/// assert_eq!(rest, "two");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A borrow cannot be an owner, since an engine keeps the store for as long as it likes:
/// ```compile_fail
/// let bytes = vec![1u8, 2, 3];
/// let store = offheap::FrozenStore::from_owner(&bytes[..]);   // wrong: `bytes` does not live long enough
/// ```
pub struct FrozenStore {
    frozen: FrozenRef,
}

impl Clone for FrozenStore {
    #[track_caller]
    fn clone(&self) -> Self {
        FrozenStore { frozen: self.frozen.clone() }
    }
}

impl FrozenStore {
    /// A store over the memory of `owner`, without a copy.
    ///
    /// # Errors
    /// The owner comes back with [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    #[track_caller]
    pub fn from_owner<O: FrozenOwner>(owner: O) -> Result<Self, Rejected<O>> {
        match FrozenRef::new(owner, Site::here()) {
            Ok(frozen) => Ok(FrozenStore { frozen }),
            Err((error, owner)) => Err(Rejected::new(error, owner)),
        }
    }

    pub(crate) fn raw(&self) -> &RawStore {
        self.frozen.view().raw()
    }

    /// The id of the store, which all handles to it and to parts of it share.
    pub fn id(&self) -> StoreId {
        self.raw().id()
    }

    /// The length in bytes; for a handle to a part, the part's length.
    pub fn byte_length(&self) -> usize {
        self.frozen.view().byte_length()
    }

    /// Where this handle begins in the store, in bytes: 0 unless it is to a part.
    pub fn byte_offset(&self) -> usize {
        self.frozen.view().start()
    }

    /// A handle to a part of these bytes, which keeps all of the store alive.
    ///
    /// ```
    /// use offheap::FrozenStore;
    ///
    /// let text = FrozenStore::from_owner("name=value")?;
    /// let value = text.slice(5..)?;
    /// drop(text);
    /// assert_eq!((&value[..], value.byte_offset()), (&b"value"[..], 5));
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless the range lies in this handle's bytes.
    #[track_caller]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<FrozenStore, Error> {
        let part = self.as_store().slice(range)?;
        Ok(FrozenStore::try_from(part)?)
    }

    /// This reference as a `BackingStore`, for example to expose it. A write through it is [`Error::ReadOnly`].
    pub fn as_store(&self) -> &BackingStore {
        BackingStore::of_view(self.frozen.view())
    }

    /// Where the store was made.
    pub fn site(&self) -> Site {
        self.raw().site()
    }

    /// The number of references, those of engines included.
    pub fn reference_count(&self) -> usize {
        self.raw().reference_count() as usize
    }
}

impl Deref for FrozenStore {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.frozen.as_slice()
    }
}

impl AsRef<[u8]> for FrozenStore {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<FrozenStore> for BackingStore {
    /// The reference as a `BackingStore`, on which a write is [`Error::ReadOnly`](crate::Error::ReadOnly).
    fn from(frozen: FrozenStore) -> BackingStore {
        BackingStore::from_view(frozen.frozen.into_view())
    }
}

impl TryFrom<BackingStore> for FrozenStore {
    type Error = Rejected<BackingStore>;

    /// The reference as a `FrozenStore`, if it is to frozen memory or a part of it. Any other store comes back with
    /// [`Error::OtherKind`](crate::Error::OtherKind).
    fn try_from(store: BackingStore) -> Result<FrozenStore, Rejected<BackingStore>> {
        FrozenRef::if_frozen(store.into_view()).map(|frozen| FrozenStore { frozen }).map_err(|view| {
            let store = BackingStore::from_view(view);
            let error = Error::OtherKind { store: store.id(), requested: "FrozenStore", kind: store.kind() };
            Rejected::new(error, store)
        })
    }
}

impl fmt::Debug for FrozenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenStore")
            .field("id", &self.id())
            .field("byte_offset", &self.byte_offset())
            .field("byte_length", &self.byte_length())
            .field("site", &self.site())
            .finish()
    }
}
