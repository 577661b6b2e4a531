//! `BackingStore`: a counted reference to memory that engines and native code share.

use std::ffi::c_void;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Bound, RangeBounds};
use std::ptr::NonNull;

use bytemuck::Pod;

use crate::raw::{Owner, RawStore, UniqueRef, View, WeakView};
use crate::{Error, IsolateId, NotUnique, Rejected, Site, StoreId, StoreKind, UniqueStore};

mod check;

/// A reference to the memory behind an ArrayBuffer, or to a part of it.
///
/// Cloning adds a reference and dropping removes one. The thread that drops the last one, an engine's included, drops the
/// owner of the memory. Two handles are equal if they are to the same bytes of the same memory; their content is not
/// compared.
///
/// A `BackingStore` may be sent to any thread. Each request for its bytes checks who else uses them: see
/// [`bytes`](Self::bytes), [`bytes_mut`](Self::bytes_mut) and [`copy_to_slice`](Self::copy_to_slice).
///
/// It is V8's `std::shared_ptr<v8::BackingStore>`; in ECMAScript's words, a Data Block with an owner.
///
/// ```
/// use offheap::{BackingStore, Error, UniqueStore};
///
/// let mut store = BackingStore::from(UniqueStore::zeroed(8)?);
/// let other = store.clone();
///
/// let reader = other.bytes()?;
/// assert!(matches!(store.bytes_mut(), Err(Error::Busy { .. })));
/// drop(reader);
/// store.bytes_mut()?.fill(7);
///
/// let part = store.slice(2..4)?;
/// drop((store, other));
/// assert_eq!(part.to_vec()?, [7, 7]);     // the part keeps the whole
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct BackingStore {
    view: View,
}

/// A reference that does not keep the memory alive; `Send` and `Sync`. V8's `std::weak_ptr<v8::BackingStore>`.
///
/// ```
/// use offheap::{BackingStore, UniqueStore};
///
/// let store = BackingStore::from(UniqueStore::zeroed(8)?);
/// let weak = store.downgrade();
/// assert_eq!(weak.upgrade(), Some(store.clone()));
/// drop(store);
/// assert_eq!(weak.upgrade(), None);
/// # Ok::<(), offheap::Error>(())
/// ```
#[derive(Clone)]
pub struct WeakStore {
    view: WeakView,
}

/// The start and the end of a range of that many bytes, which may lie outside them or end before it starts.
#[inline(always)]
pub(crate) fn bounds(range: impl RangeBounds<usize>, byte_length: usize) -> (usize, usize) {
    let start = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&end) => end.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => byte_length,
    };
    (start, end)
}

impl BackingStore {
    #[inline]
    #[track_caller]
    pub(crate) fn over(raw: RawStore) -> Self {
        BackingStore { view: View::whole(raw) }
    }

    /// The first handle to a new block.
    pub(crate) fn of_new(raw: RawStore) -> Self {
        BackingStore { view: View::whole_new(raw) }
    }

    /// A handle for a moment, of which the observer is not told.
    pub(crate) fn unseen(raw: RawStore) -> Self {
        BackingStore { view: View::whole_unseen(raw) }
    }

    #[inline]
    pub(crate) fn from_view(view: View) -> Self {
        BackingStore { view }
    }

    #[inline]
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    #[inline]
    pub(crate) fn raw(&self) -> &RawStore {
        self.view.raw()
    }

    #[inline]
    pub(crate) fn into_view(self) -> View {
        self.view
    }

    #[inline]
    pub(crate) fn into_block(self) -> RawStore {
        self.view.into_block()
    }

    /// A store over the memory of `owner`, without a copy. For a `Vec` that is its elements, without spare capacity. This is
    /// the way to hand over memory that is ready; `BackingStore::try_from(vec)` does the same. Start from a [`UniqueStore`]
    /// to write bytes first, and from a [`FrozenStore`](crate::FrozenStore) for bytes that nobody may write.
    ///
    /// ```
    /// use offheap::BackingStore;
    ///
    /// let store = BackingStore::from_owner(vec![1u32, 2, 3])?;
    /// assert_eq!(store.byte_length(), 12);
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// # Errors
    /// The owner comes back with [`Error::OutOfMemory`].
    #[track_caller]
    #[inline]
    pub fn from_owner<O: Owner>(owner: O) -> Result<Self, Rejected<O>> {
        UniqueStore::from_owner(owner).map(BackingStore::from)
    }

    /// The id of the store, which all handles to it and to parts of it share.
    #[inline]
    pub fn id(&self) -> StoreId {
        self.raw().id()
    }

    /// The length in bytes (V8's `ByteLength`); for a handle to a part, the part's length. For a resizable store it is the
    /// length that any thread published last. For a part it is 0 while the part is [out of bounds](Self::is_out_of_bounds).
    #[inline]
    pub fn byte_length(&self) -> usize {
        self.view.byte_length()
    }

    /// The length of shared memory, read in one total order with every growth of it.
    #[inline]
    pub(crate) fn byte_length_in_order(&self) -> usize {
        self.view.byte_length_in_order()
    }

    /// Whether this is a handle to a part that ends beyond the present length of its resizable store. Such a part has no
    /// bytes, and a request for them is [`Error::OutOfRange`]. As V8's views do, it works again once the store has grown
    /// back.
    #[inline]
    pub fn is_out_of_bounds(&self) -> bool {
        self.view.is_out_of_bounds()
    }

    /// Whether this is a handle to all of the store, whatever its length becomes.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.view.is_whole()
    }

    /// The kind of memory: how its length changes, who may use it, who frees it.
    #[inline]
    pub fn kind(&self) -> StoreKind {
        self.raw().kind()
    }

    /// Where the store was made.
    pub fn site(&self) -> Site {
        self.raw().site()
    }

    /// Where this handle begins in the store, in bytes: 0 unless it is to a part.
    pub fn byte_offset(&self) -> usize {
        self.view.start()
    }

    /// The address of the first byte (V8's `BackingStore::Data()`). It never changes, and is not null even if the store is
    /// empty.
    ///
    /// This crate promises nothing about reads or writes through it: use guards and copies for those.
    #[inline]
    pub fn as_ptr(&self) -> *mut c_void {
        self.data().as_ptr().cast()
    }

    #[inline]
    pub(crate) fn data(&self) -> NonNull<u8> {
        self.view.data()
    }

    /// The number of references, those of engines included (V8's `use_count`). Other threads may change it at any time.
    pub fn reference_count(&self) -> usize {
        self.raw().reference_count() as usize
    }

    /// The isolate in which the store is exposed, and the number of its live buffers. `None` while the store is exposed
    /// nowhere, and always for read-only and shared memory, which any number of isolates may have.
    pub fn exposure(&self) -> Option<(IsolateId, u16)> {
        self.raw().exposure()
    }

    /// A reference that does not keep the memory alive.
    pub fn downgrade(&self) -> WeakStore {
        WeakStore { view: self.view.downgrade() }
    }

    /// A handle to a part of these bytes. It shares the reference count, the guards and the exposure of the whole store.
    /// Its length does not change when a resizable store grows. If the store shrinks below the part's end, the part is [out
    /// of bounds](Self::is_out_of_bounds) until the store has grown back.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless the range lies in this handle's bytes.
    #[inline]
    #[track_caller]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<BackingStore, Error> {
        match self.view.slice(|byte_length| bounds(range, byte_length)) {
            Ok(view) => Ok(BackingStore { view }),
            Err((start, end)) => Err(self.out_of_range(start, end.saturating_sub(start))),
        }
    }

    /// A handle to `element_count` elements of `T` that begin at byte `byte_offset`, like a typed array over a part of a
    /// buffer (`new Float32Array(buffer, byteOffset, length)`).
    ///
    /// ```
    /// use offheap::{BackingStore, Error};
    ///
    /// let store = BackingStore::from_owner(vec![0.5f32, 1.0, 1.5])?;
    /// let last = store.slice_elements::<f32>(4, 2)?;
    /// assert_eq!(last.copy_out::<f32>()?, [1.0, 1.5]);
    ///
    /// let error = store.slice_elements::<f32>(3, 1).unwrap_err();
    /// assert!(matches!(error, Error::Misaligned { byte_offset: 3, alignment: 4, .. }));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfRange`] unless the elements lie in this handle's bytes, [`Error::Misaligned`] unless the address is
    /// aligned for `T`.
    #[track_caller]
    pub fn slice_elements<T: Pod>(&self, byte_offset: usize, element_count: usize) -> Result<BackingStore, Error> {
        let byte_length = element_count.checked_mul(size_of::<T>());
        let end = byte_length.and_then(|byte_length| byte_offset.checked_add(byte_length));
        let Some(end) = end else {
            return Err(self.out_of_range(byte_offset, byte_length.unwrap_or(usize::MAX)));
        };
        let part = self.slice(byte_offset..end)?;
        part.check_alignment::<T>()?;
        Ok(part)
    }

    /// A copy of all bytes. Any thread may make one, also while the store is exposed and while a resizable store shrinks.
    ///
    /// # Errors
    /// Those of [`copy_to_slice`](Self::copy_to_slice), and [`Error::OutOfMemory`].
    pub fn to_vec(&self) -> Result<Vec<u8>, Error> {
        self.copy_out()
    }

    /// A copy of all bytes as elements of `T`, in the machine's byte order. Any thread may make one, also while the store
    /// is exposed. The store's alignment does not matter.
    ///
    /// # Errors
    /// [`Error::PartialElement`] if the length is not a whole number of elements, [`Error::OutOfMemory`], and those of
    /// [`copy_to_slice`](Self::copy_to_slice).
    pub fn copy_out<T: Pod>(&self) -> Result<Vec<T>, Error> {
        loop {
            let byte_length = self.byte_length();
            match self.copy_out_of(byte_length) {
                // The store shrank in between: copy the remaining bytes. A part is either complete or out of bounds.
                Err(Error::OutOfRange { .. }) if self.is_whole() => {}
                done => return done,
            }
        }
    }

    fn copy_out_of<T: Pod>(&self, byte_length: usize) -> Result<Vec<T>, Error> {
        let element_count = self.element_count::<T>(byte_length)?;
        let mut elements = Vec::new();
        elements.try_reserve_exact(element_count).map_err(|_| Error::OutOfMemory { requested: byte_length })?;
        elements.resize(element_count, T::zeroed());
        self.copy_to_slice(0, bytemuck::cast_slice_mut(&mut elements))?;
        Ok(elements)
    }

    /// Takes the store back as the unique reference to its memory, with `&mut` access. That succeeds if no other strong
    /// handle and no engine's buffer is left. Weak handles are severed: they never upgrade again.
    ///
    /// # Errors
    /// The store comes back with [`Error::NotUnique`] and the reason, with [`Error::HostMayWrite`] for memory that a host
    /// has or had, or with [`Error::OutOfMemory`].
    #[track_caller]
    pub fn try_into_unique(self) -> Result<UniqueStore, Rejected<BackingStore>> {
        let refused =
            |store: BackingStore, reason| Rejected::new(Error::NotUnique { store: store.id(), reason }, store);
        if !self.is_whole() {
            return Err(refused(self, NotUnique::SubStore));
        }
        if !self.may_be_unique() {
            return Err(refused(self, NotUnique::Kind));
        }
        match UniqueRef::if_unique(self.into_block()) {
            Ok(unique) => Ok(UniqueStore::from_unique(unique)),
            Err((why, raw)) => {
                let store = BackingStore::over(raw);
                Err(Rejected::new(store.not_taken(why), store))
            }
        }
    }
}

impl Clone for BackingStore {
    #[inline]
    #[track_caller]
    fn clone(&self) -> Self {
        BackingStore { view: self.view.clone() }
    }
}

impl From<UniqueStore> for BackingStore {
    #[inline]
    fn from(unique: UniqueStore) -> BackingStore {
        BackingStore::from_view(unique.into_view())
    }
}

impl PartialEq for BackingStore {
    fn eq(&self, other: &Self) -> bool {
        self.view.is_same(&other.view)
    }
}

impl Eq for BackingStore {}

impl Hash for BackingStore {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The length is left out, since that of a resizable store changes.
        self.id().hash(state);
        self.byte_offset().hash(state);
    }
}

impl fmt::Debug for BackingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackingStore")
            .field("id", &self.id())
            .field("kind", &self.kind())
            .field("byte_offset", &self.byte_offset())
            .field("byte_length", &self.byte_length())
            .field("reference_count", &self.reference_count())
            .field("site", &self.site())
            .finish()
    }
}

impl WeakStore {
    pub(crate) fn over(view: WeakView) -> Self {
        WeakStore { view }
    }

    /// A reference that keeps the memory alive; `None` if the memory is gone, or a [`UniqueStore`] has taken it.
    #[track_caller]
    pub fn upgrade(&self) -> Option<BackingStore> {
        let view = self.view.upgrade()?;
        Some(BackingStore::from_view(view))
    }
}

impl fmt::Debug for WeakStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakStore")
    }
}
