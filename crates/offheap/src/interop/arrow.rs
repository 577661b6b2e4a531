//! `arrow_buffer::Buffer`: the immutable memory of Arrow's arrays, of which each column of a `RecordBatch` has a few.

use std::ptr::NonNull;

use arrow_buffer::Buffer;

use crate::{FrozenOwner, FrozenStore, Rejected, UniqueStore};

// SAFETY: I-OWNER-SEND: the bytes of a `Buffer` are never written while a clone of it lives, any thread may read them, and
// they do not move when it moves. A `Buffer` that was sliced gives the address and the length of its own part.
unsafe impl FrozenOwner for Buffer {
    fn memory(&self) -> NonNull<[u8]> {
        NonNull::from(self.as_slice())
    }
}

impl TryFrom<Buffer> for FrozenStore {
    type Error = Rejected<Buffer>;

    /// [`FrozenStore::from_owner`]: the bytes of the `Buffer`, or of the part that it was sliced to, without a copy. Script
    /// gets them as an immutable ArrayBuffer. An adapter copies a part that does not begin at a multiple of 8, and says so.
    #[track_caller]
    fn try_from(buffer: Buffer) -> Result<FrozenStore, Rejected<Buffer>> {
        FrozenStore::from_owner(buffer)
    }
}

impl From<FrozenStore> for Buffer {
    /// The bytes where they are, without a copy. The `Buffer` and its clones are one reference to the store.
    ///
    /// ```
    /// use arrow_buffer::{Buffer, ScalarBuffer};
    /// use offheap::FrozenStore;
    ///
    /// let store = FrozenStore::from_owner(vec![1i32, 2, 3])?;
    /// let buffer = Buffer::from(store.slice(4..)?);
    /// assert_eq!(buffer.as_ptr(), store[4..].as_ptr());
    /// assert_eq!(&ScalarBuffer::<i32>::from(buffer)[..], [2, 3]);
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// A `Buffer` may begin at any address, but Arrow's `ScalarBuffer<T>` panics unless the address is aligned for `T`. The
    /// memory of a `Vec<T>`, and of a [`UniqueStore::zeroed`], is. Slice a store at multiples of the element's size.
    ///
    /// Memory that script may still write never turns into a `Buffer`: a [`BackingStore`](crate::BackingStore) first has to
    /// be [taken back](crate::BackingStore::try_into_unique). `bytes` and Arrow allocate small places for their references,
    /// and end the process if there is no memory for them.
    fn from(store: FrozenStore) -> Buffer {
        Buffer::from(bytes::Bytes::from(store))
    }
}

impl TryFrom<UniqueStore> for Buffer {
    type Error = Rejected<UniqueStore>;

    /// The bytes where they are, without a copy. Nobody writes them from now on.
    ///
    /// ```
    /// use arrow_buffer::Buffer;
    /// use offheap::BackingStore;
    ///
    /// let store = BackingStore::from_owner(vec![0.5f64; 4])?;
    /// // … script fills it, and its buffer is detached …
    /// let column = Buffer::try_from(store.try_into_unique()?)?;
    /// assert_eq!(column.typed_data::<f64>(), [0.5; 4]);
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// # Errors
    /// The store comes back with [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    #[track_caller]
    fn try_from(store: UniqueStore) -> Result<Buffer, Rejected<UniqueStore>> {
        FrozenStore::from_owner(store).map(Buffer::from)
    }
}
