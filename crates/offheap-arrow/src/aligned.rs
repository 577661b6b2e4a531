//! A store over an Arrow buffer that begins where an engine wants it.

use arrow_buffer::Buffer;
use offheap::{Error, FrozenStore, UniqueStore};

use crate::sys::Widened;

/// Engines make views at multiples of the size of an element, and the largest element has this size in bytes.
const ALIGNMENT: usize = 8;

/// A frozen store over an Arrow buffer, which begins at a multiple of 8 bytes, and where the buffer begins in it.
///
/// A column that was sliced begins anywhere: at row 3 of a column of `i8`, for example. Engines want the first byte of an
/// ArrayBuffer at a multiple of 8. So the store begins up to 7 bytes before the buffer, in the same allocation, and script makes
/// its typed array at `byte_offset`. Script can read these bytes before the buffer.
///
/// ```
/// use arrow_buffer::Buffer;
/// use offheap_arrow::AlignedStore;
///
/// let column = Buffer::from_vec(vec![1i8, 2, 3, 4, 5]);
/// let slice = column.slice(3);
/// let aligned = AlignedStore::of(&slice)?;
/// assert_eq!(aligned.byte_offset, 3);
/// assert_eq!(aligned.store[3..].as_ptr(), slice.as_ptr()); // no copy
/// assert!(!aligned.is_copy);
/// # Ok::<(), offheap::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct AlignedStore {
    /// The store. It keeps the buffer's allocation alive, unless it is a copy.
    pub store: FrozenStore,
    /// The number of bytes in the store before the first byte of the buffer: 0 to 7.
    pub byte_offset: usize,
    /// Whether the bytes had to be copied, because the allocation does not have the bytes before the buffer. Memory that was
    /// imported from other libraries may begin at any address.
    pub is_copy: bool,
}

impl AlignedStore {
    /// The store over `buffer`. The bytes are copied only if the multiple of 8 before them is not in the buffer's allocation.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[track_caller]
    pub fn of(buffer: &Buffer) -> Result<Self, Error> {
        let lead = if buffer.is_empty() { 0 } else { buffer.as_ptr().addr() % ALIGNMENT };
        match Widened::new(buffer.clone(), lead) {
            // An empty buffer may have any address, and no byte of it is read.
            Some(widened) if !buffer.is_empty() => {
                let store = FrozenStore::from_owner(widened)?;
                Ok(AlignedStore { store, byte_offset: lead, is_copy: false })
            }
            found => {
                let mut copy = UniqueStore::zeroed(buffer.len())?;
                copy.copy_from_slice(buffer);
                let store = FrozenStore::from_owner(copy)?;
                Ok(AlignedStore { store, byte_offset: 0, is_copy: found.is_none() })
            }
        }
    }
}
