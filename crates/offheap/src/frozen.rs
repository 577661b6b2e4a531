//! `FrozenStore`: memory that nobody writes.

use std::fmt;
use std::ops::Deref;

use crate::raw::{FrozenOwner, FrozenRef, RawStore};
use crate::{BackingStore, Error, Rejected, Site, StoreId, StoreKind};

/// A reference to memory that nobody writes any more. It derefs to `&[u8]`, on any thread, however often it is exposed.
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
/// A borrow cannot be an owner, since an engine keeps the store for as long as it likes:
/// ```compile_fail
/// let bytes = vec![1u8, 2, 3];
/// let store = offheap::FrozenStore::from_owner(&bytes[..]);   // wrong: `bytes` does not live long enough
/// ```
#[derive(Clone)]
pub struct FrozenStore {
    frozen: FrozenRef,
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
        self.frozen.raw()
    }

    /// The id of the store.
    pub fn id(&self) -> StoreId {
        self.raw().id()
    }

    /// The length in bytes.
    pub fn byte_length(&self) -> usize {
        self.raw().byte_length()
    }

    /// Where the store was made.
    pub fn site(&self) -> Site {
        self.raw().site()
    }

    /// The number of references, those of engines included.
    pub fn reference_count(&self) -> usize {
        self.raw().strong_count() as usize
    }
}

impl Deref for FrozenStore {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.frozen.as_slice()
    }
}

impl From<FrozenStore> for BackingStore {
    /// The reference as a `BackingStore`, on which a write is [`Error::ReadOnly`](crate::Error::ReadOnly).
    fn from(frozen: FrozenStore) -> BackingStore {
        BackingStore::over(frozen.frozen.into_block())
    }
}

impl TryFrom<BackingStore> for FrozenStore {
    type Error = Rejected<BackingStore>;

    /// The frozen store, if this is a handle to all of one. Any other handle comes back with
    /// [`Error::OtherKind`](crate::Error::OtherKind).
    fn try_from(store: BackingStore) -> Result<FrozenStore, Rejected<BackingStore>> {
        let refused = |store: BackingStore| {
            let error = Error::OtherKind { store: store.id(), requested: "FrozenStore", kind: store.kind() };
            Rejected::new(error, store)
        };
        // Checked first: a bare reference no longer says that it was one to a part.
        let is_whole = store.byte_offset() == 0 && store.byte_length() == store.raw().byte_length();
        if store.kind() != StoreKind::FROZEN || !is_whole {
            return Err(refused(store));
        }
        match FrozenRef::if_frozen(store.into_block()) {
            Ok(frozen) => Ok(FrozenStore { frozen }),
            Err(raw) => Err(refused(BackingStore::over(raw))),
        }
    }
}

impl fmt::Debug for FrozenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenStore")
            .field("id", &self.id())
            .field("byte_length", &self.byte_length())
            .field("site", &self.site())
            .finish()
    }
}
