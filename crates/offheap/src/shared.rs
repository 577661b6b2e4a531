//! `SharedStore`: memory that any number of threads, script and native, read and write at the same time.

use std::ffi::c_void;
use std::fmt;
use std::ops::RangeBounds;
use std::sync::atomic::AtomicU8;

use bytemuck::Pod;

use crate::lend::{AtomicElement, AtomicInteger, AtomicSlice};
use crate::raw::{Owner, RawStore, WithDeleter};
use crate::sys::Reservation;
use crate::{BackingStore, Error, Mapped, Rejected, Site, StoreId, WeakStore};

/// A reference to memory behind a `SharedArrayBuffer`, or to a part of it. Any number of isolates may have it, on any
/// threads, while Rust reads and writes it.
///
/// It is never lent as a slice. It is used through atomics ([`atomic_slice`](Self::atomic_slice)), and through copies in both
/// directions.
/// These set no mark and are never refused. Each byte of a copy is a value that was stored there at some time, in no
/// particular order.
///
/// Memory that is [growable](Self::growable) gets longer and never shorter, at one address. It is V8's
/// `std::shared_ptr<v8::BackingStore>` with `IsShared()`; in ECMAScript's words, a Shared Data Block with an owner.
///
/// ```
/// use std::sync::atomic::Ordering;
/// use offheap::SharedStore;
///
/// let store = SharedStore::growable(4, 1 << 20)?;
/// let other = store.clone();
/// std::thread::spawn(move || other.as_atomics()[0].fetch_add(1, Ordering::SeqCst)).join().unwrap();
/// store.grow(8)?;
/// store.copy_from_slice(6, &[7, 8])?;
/// assert_eq!(store.to_vec()?, [1, 0, 0, 0, 0, 0, 7, 8]);
/// # Ok::<(), offheap::Error>(())
/// ```
#[derive(PartialEq, Eq, Hash)]
pub struct SharedStore {
    // Of a shared kind.
    store: BackingStore,
}

impl Clone for SharedStore {
    #[track_caller]
    fn clone(&self) -> Self {
        SharedStore { store: self.store.clone() }
    }
}

impl SharedStore {
    pub(crate) fn over(raw: RawStore) -> Self {
        SharedStore { store: BackingStore::of_new(raw) }
    }

    /// A store of `byte_length` zeroed bytes, aligned to 16, whose length is fixed.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond `isize::MAX` bytes, [`Error::OutOfMemory`].
    #[track_caller]
    pub fn zeroed(byte_length: usize) -> Result<Self, Error> {
        RawStore::shared_zeroed(byte_length, Site::here()).map(SharedStore::over)
    }

    /// A store of `byte_length` zeroed bytes that can grow up to `max_byte_length`, at one address. It is aligned to a
    /// page. Only addresses are reserved; memory is used when bytes are written.
    ///
    /// # Errors
    /// [`Error::MaximumTooSmall`], [`Error::TooLarge`] beyond `isize::MAX` bytes, [`Error::OutOfMemory`].
    #[track_caller]
    pub fn growable(byte_length: usize, max_byte_length: usize) -> Result<Self, Error> {
        if byte_length > max_byte_length {
            return Err(Error::MaximumTooSmall { byte_length, max_byte_length });
        }
        let site = Site::here();
        RawStore::shared_growable(Reservation::new(max_byte_length)?, byte_length, site).map(SharedStore::over)
    }

    /// A store over the memory of `owner`, without a copy. The owner cannot be taken back, since other users of shared
    /// memory are not known.
    ///
    /// # Errors
    /// The owner comes back with [`Error::OutOfMemory`].
    #[track_caller]
    pub fn from_owner<O: Owner>(owner: O) -> Result<Self, Rejected<O>> {
        match RawStore::shared(owner, Site::here()) {
            Ok(raw) => Ok(SharedStore::over(raw)),
            Err((error, owner)) => Err(Rejected::new(error, owner)),
        }
    }

    /// A store over the memory of `owner`, without a copy, with a function that is called when the last reference goes,
    /// before the owner is dropped. It can unregister the address elsewhere, for example. It is called once, with the
    /// address and the length in bytes, on any thread, and must not call an engine.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use offheap::SharedStore;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// let store = SharedStore::from_owner_with_deleter(vec![0u32; 4], move |_, byte_length| sender.send(byte_length).unwrap())?;
    /// drop((store.clone(), store));
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [16]);
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

    /// This reference as a `BackingStore`, for example to expose it.
    pub fn as_store(&self) -> &BackingStore {
        &self.store
    }

    /// The id of the store, which all handles to it and to parts of it share.
    pub fn id(&self) -> StoreId {
        self.store.id()
    }

    /// The length in bytes; for a handle to a part, the part's length. The length of a growable store is read in one total
    /// order with every growth of it (ECMAScript's `ArrayBufferByteLength` with *seq-cst*).
    pub fn byte_length(&self) -> usize {
        self.store.byte_length_in_order()
    }

    /// The greatest length that it can have. That is its present length, unless this is a handle to all of a growable
    /// store.
    pub fn max_byte_length(&self) -> usize {
        self.store.max_byte_length()
    }

    /// Whether it was made [growable](Self::growable), or is an engine's memory that can still grow.
    pub fn is_growable(&self) -> bool {
        self.store.raw().is_growable()
    }

    /// Where the store was made.
    pub fn site(&self) -> Site {
        self.store.site()
    }

    /// Where this handle begins in the store, in bytes: 0 unless it is to a part.
    pub fn byte_offset(&self) -> usize {
        self.store.byte_offset()
    }

    /// The address of the first byte. It never changes, and is not null even if the store is empty.
    pub fn as_ptr(&self) -> *mut c_void {
        self.store.as_ptr()
    }

    /// The number of references, those of engines included.
    pub fn reference_count(&self) -> usize {
        self.store.reference_count()
    }

    /// A reference that does not keep the memory alive. It upgrades to a `BackingStore`; `SharedStore::try_from` turns that
    /// into a `SharedStore`.
    pub fn downgrade(&self) -> WeakStore {
        self.store.downgrade()
    }

    /// Makes the store longer, for all its handles and buffers; new bytes are zero. Any number of threads may do so at the
    /// same time. The length only rises, so a request for less than another thread has reached is refused. This is
    /// ECMAScript's `SharedArrayBuffer.prototype.grow`.
    ///
    /// # Errors
    /// [`Error::SharedShrink`] for less than the present length, [`Error::AboveMaximum`], [`Error::OutOfMemory`],
    /// [`Error::NotResizable`] unless this is a handle to all of a growable store, [`Error::EngineResizes`] for an engine's
    /// memory, which script grows.
    pub fn grow(&self, byte_length: usize) -> Result<(), Error> {
        self.grow_from(byte_length, true)
    }

    pub(crate) fn grow_from(&self, byte_length: usize, strict: bool) -> Result<(), Error> {
        if !self.store.is_whole() {
            return Err(self.store.part_is_not_resizable("grow", byte_length));
        }
        self.store.raw().grow(byte_length, strict)
    }

    /// A handle to a part of these bytes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless the range lies in this handle's bytes.
    #[track_caller]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<SharedStore, Error> {
        self.store.slice(range).map(|store| SharedStore { store })
    }

    /// The bytes as atomics, up to the present length. They stay mapped at their address while the handle lives.
    pub fn as_atomics(&self) -> &[AtomicU8] {
        self.store.atomics()
    }

    /// The bytes as integers, up to the present length, in the machine's byte order: script's `Int32Array` over them shows the
    /// same numbers. They stay mapped at their address while the handle lives. Other threads and script may use the bytes at
    /// the same time, also as integers of other sizes.
    ///
    /// ```
    /// use offheap::SharedStore;
    ///
    /// let store = SharedStore::zeroed(16)?;
    /// store.atomic_slice::<i32>()?.fetch_sub(3, 1);
    /// assert_eq!(store.copy_out::<i32>()?, [0, 0, 0, -1]);
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Misaligned`] unless the address is aligned for `T`, as the address of a whole store always is.
    /// [`Error::PartialElement`] if the length is not a whole number of elements.
    pub fn atomic_slice<T: AtomicInteger>(&self) -> Result<AtomicSlice<'_, T>, Error> {
        self.store.atomic_slice()
    }

    /// The bytes as std's larger atomics, in the machine's byte order. An `Int32Array` of script shows the same numbers as
    /// `as_atomics_of::<AtomicI32>()`.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicI32, Ordering};
    /// use offheap::SharedStore;
    ///
    /// let store = SharedStore::zeroed(16)?;
    /// // SAFETY: these bytes are used in no other size.
    /// let numbers = unsafe { store.as_atomics_of::<AtomicI32>() }?;
    /// numbers[3].fetch_sub(1, Ordering::SeqCst);
    /// assert_eq!(store.copy_out::<i32>()?, [0, 0, 0, -1]);
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// # Safety
    /// This is the contract of `AtomicI32::from_ptr`: while Rust uses an element in one size, no other thread uses the same
    /// bytes through std's atomics of another size, those of [`as_atomics`](Self::as_atomics) included, unless something
    /// orders the two uses. Accesses by script and by an [`AtomicSlice`] do not count. This crate's copies do not count on
    /// x86-64, and count as atomics of one byte on other machines.
    ///
    /// An [`AtomicSlice`] needs no `unsafe`. This function is for code that wants std's types, or a weaker order.
    ///
    /// # Errors
    /// [`Error::Misaligned`] unless the address is aligned for `A`, as the address of a whole store always is.
    /// [`Error::PartialElement`] if the length is not a whole number of elements.
    #[allow(unsafe_code, reason = "declares the contract; the block that relies on it is in `lend`")]
    pub unsafe fn as_atomics_of<A: AtomicElement>(&self) -> Result<&[A], Error> {
        // SAFETY: I-BORROW: the caller's promise, passed on.
        unsafe { self.store.atomics_of() }
    }

    /// Copies `into.len()` bytes out, starting at byte `offset`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn copy_to_slice(&self, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        self.store.copy_to_slice(offset, into)
    }

    /// Copies bytes in, starting at byte `offset`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn copy_from_slice(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        self.store.copy_from_slice_scope(None, offset, from)
    }

    /// A copy of all bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn to_vec(&self) -> Result<Vec<u8>, Error> {
        self.store.to_vec()
    }

    /// A copy of all bytes as elements of `T`, in the machine's byte order.
    ///
    /// # Errors
    /// [`Error::PartialElement`] if the length is not a whole number of elements, [`Error::OutOfMemory`].
    pub fn copy_out<T: Pod>(&self) -> Result<Vec<T>, Error> {
        self.store.copy_out()
    }
}

impl From<SharedStore> for BackingStore {
    /// The reference as a `BackingStore`. A guard on it is [`Error::SharedSlice`].
    fn from(shared: SharedStore) -> BackingStore {
        shared.store
    }
}

impl TryFrom<BackingStore> for SharedStore {
    type Error = Rejected<BackingStore>;

    /// The reference as a `SharedStore`, if it is to shared memory. Any other store comes back with [`Error::OtherKind`].
    fn try_from(store: BackingStore) -> Result<SharedStore, Rejected<BackingStore>> {
        let kind = store.kind();
        if kind.is_shared() {
            return Ok(SharedStore { store });
        }
        let error = Error::OtherKind { store: store.id(), requested: "SharedStore", kind };
        Err(Rejected::new(error, store))
    }
}

impl TryFrom<Mapped> for SharedStore {
    type Error = Rejected<Mapped>;

    /// A reference to the map as shared memory, if script may write it. A map that is read-only comes back with
    /// [`Error::OtherKind`].
    fn try_from(mapped: Mapped) -> Result<SharedStore, Rejected<Mapped>> {
        match SharedStore::try_from(mapped.store().clone()) {
            Ok(shared) => Ok(shared),
            Err(rejected) => Err(Rejected::new(rejected.into_parts().0, mapped)),
        }
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore")
            .field("id", &self.id())
            .field("byte_offset", &self.byte_offset())
            .field("byte_length", &self.byte_length())
            .field("max_byte_length", &self.max_byte_length())
            .field("site", &self.site())
            .finish()
    }
}
