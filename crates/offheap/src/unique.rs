//! `UniqueStore`: memory before it is shared, and after it is taken back.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::budget;
use crate::raw::{HeapMemory, Owner, RawStore, UniqueRef, View, WithDeleter};
use crate::{Error, Rejected, Site, StoreId, StoreKind};

/// A store with one handle that is exposed nowhere. It derefs to `&mut [u8]`, on any thread.
///
/// `BackingStore::from(unique)` turns it into a store that can be shared and exposed;
/// [`BackingStore::try_into_unique`](crate::BackingStore::try_into_unique) is the way back. It is V8's
/// `std::unique_ptr<v8::BackingStore>`.
///
/// ```
/// use offheap::UniqueStore;
///
/// let mut store = UniqueStore::filled(4, |bytes| bytes.copy_from_slice(b"data"))?;
/// store[0] = b'D';
/// assert_eq!(&store[..], b"Data");
///
/// // The owner comes back if it is refused, and when its store is no longer needed.
/// let store = UniqueStore::from_owner(Vec::<u16>::with_capacity(100))?;
/// let vec: Vec<u16> = store.try_into_owner()?;
/// assert!(vec.capacity() >= 100);
/// # Ok::<(), offheap::Error>(())
/// ```
pub struct UniqueStore {
    unique: UniqueRef,
}

impl UniqueStore {
    #[inline]
    pub(crate) fn from_unique(unique: UniqueRef) -> Self {
        UniqueStore { unique }
    }

    #[inline]
    pub(crate) fn into_view(self) -> View {
        self.unique.into_view()
    }

    pub(crate) fn raw(&self) -> &RawStore {
        self.unique.raw()
    }

    pub(crate) fn unique_mut(&mut self) -> &mut UniqueRef {
        &mut self.unique
    }

    /// A store of `byte_length` zeroed bytes, aligned to 16. It is V8's `NewBackingStore(isolate, byte_length)` without an
    /// isolate, and with an error where V8 ends the process. The length may be 0.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond `isize::MAX` bytes, [`Error::OutOfMemory`].
    #[track_caller]
    pub fn zeroed(byte_length: usize) -> Result<Self, Error> {
        budget::check(byte_length)?;
        Self::of(HeapMemory::zeroed(byte_length)?, Site::here())
    }

    /// A store of `byte_length` zeroed bytes at an address that is a multiple of `alignment` and of 16. SIMD code and Arrow
    /// want 64.
    ///
    /// # Errors
    /// [`Error::InvalidAlignment`] unless it is a power of two; [`Error::TooLarge`] beyond `isize::MAX` bytes,
    /// [`Error::OutOfMemory`].
    #[track_caller]
    pub fn zeroed_aligned(byte_length: usize, alignment: usize) -> Result<Self, Error> {
        budget::check(byte_length)?;
        Self::of(HeapMemory::zeroed_aligned(byte_length, alignment)?, Site::here())
    }

    fn of(memory: HeapMemory, site: Site) -> Result<Self, Error> {
        UniqueRef::new(memory, StoreKind::FIXED, site).map(UniqueStore::from_unique).map_err(|(error, _)| error)
    }

    /// A store of `byte_length` bytes, zeroed and then written by `fill`.
    ///
    /// # Errors
    /// Those of [`zeroed`](Self::zeroed). `fill` is not called then.
    #[track_caller]
    pub fn filled(byte_length: usize, fill: impl FnOnce(&mut [u8])) -> Result<Self, Error> {
        let mut store = Self::zeroed(byte_length)?;
        fill(&mut store);
        Ok(store)
    }

    /// A store over the memory of `owner`, without a copy. For a `Vec` that is its elements, without spare capacity.
    ///
    /// # Errors
    /// The owner comes back with [`Error::OutOfMemory`].
    #[track_caller]
    #[inline]
    pub fn from_owner<O: Owner>(owner: O) -> Result<Self, Rejected<O>> {
        UniqueRef::new(owner, StoreKind::FIXED, Site::here())
            .map(UniqueStore::from_unique)
            .map_err(|(error, owner)| Rejected::new(error, owner))
    }

    /// A store over the memory of `owner`, without a copy, with a function that is called when the last reference goes,
    /// before the owner is dropped. It can unregister the address elsewhere, for example. It is called once, with the
    /// address and the length in bytes, on any thread, and must not call an engine.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use offheap::UniqueStore;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// let deleter = move |_address, byte_length| sender.send(byte_length).unwrap();
    /// drop(UniqueStore::from_owner_with_deleter(vec![0u32; 4], deleter)?);
    /// assert_eq!(receiver.recv(), Ok(16));
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// # Errors
    /// The owner and the function come back with [`Error::OutOfMemory`]; the function is not called then.
    #[track_caller]
    pub fn from_owner_with_deleter<O, F>(owner: O, deleter: F) -> Result<Self, Rejected<(O, F)>>
    where
        O: Owner,
        F: FnOnce(*mut u8, usize) + Send + 'static,
    {
        Self::from_owner(WithDeleter::new(owner, deleter)).map_err(|rejected| rejected.map(WithDeleter::into_parts))
    }

    /// Takes the owner back as it was given: a `Vec` with its capacity.
    ///
    /// # Errors
    /// The store comes back with [`Error::OtherOwner`] if it was not made from an `O`.
    pub fn try_into_owner<O: Owner>(self) -> Result<O, Rejected<UniqueStore>> {
        let store = self.id();
        self.unique.try_into_owner().map_err(|unique| {
            let requested = std::any::type_name::<O>();
            Rejected::new(Error::OtherOwner { store, requested }, UniqueStore { unique })
        })
    }

    /// The id of the store. It stays the same when the store is shared and when it is taken back.
    pub fn id(&self) -> StoreId {
        self.unique.raw().id()
    }

    /// The length in bytes.
    pub fn byte_length(&self) -> usize {
        self.unique.raw().byte_length()
    }

    /// Where the store was made.
    pub fn site(&self) -> Site {
        self.unique.raw().site()
    }
}

impl Deref for UniqueStore {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.unique.as_slice()
    }
}

impl DerefMut for UniqueStore {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.unique.as_mut_slice()
    }
}

impl AsRef<[u8]> for UniqueStore {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for UniqueStore {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for UniqueStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UniqueStore")
            .field("id", &self.id())
            .field("byte_length", &self.byte_length())
            .field("site", &self.site())
            .finish()
    }
}
