//! This crate's own owners: memory from Rust's allocator, and an owner with a function that is called before its drop.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use super::Owner;
use crate::Error;

/// Zeroed memory from Rust's allocator, aligned like `calloc`'s, as V8's default allocator does.
pub(crate) struct HeapMemory {
    data: NonNull<u8>,
    layout: Layout,
}

const HEAP_ALIGNMENT: usize = align_of::<Aligned>();

#[repr(align(16))]
struct Aligned;

impl HeapMemory {
    /// # Errors
    /// [`Error::TooLarge`] beyond `isize::MAX` bytes, [`Error::OutOfMemory`] if the allocator has none.
    pub(crate) fn zeroed(byte_length: usize) -> Result<Self, Error> {
        Self::zeroed_aligned(byte_length, HEAP_ALIGNMENT)
    }

    /// Zeroed memory at an address that is a multiple of `alignment` and of 16.
    ///
    /// # Errors
    /// Those of [`zeroed`](Self::zeroed), and [`Error::InvalidAlignment`].
    pub(crate) fn zeroed_aligned(byte_length: usize, alignment: usize) -> Result<Self, Error> {
        if !alignment.is_power_of_two() {
            return Err(Error::InvalidAlignment { alignment });
        }
        let alignment = alignment.max(HEAP_ALIGNMENT);
        let limit = (isize::MAX as usize).saturating_sub(alignment - 1);
        let layout = Layout::from_size_align(byte_length, alignment)
            .map_err(|_| Error::TooLarge { requested: byte_length, limit })?;
        if byte_length == 0 {
            // An address that points to nothing.
            let address = NonZeroUsize::new(alignment).expect("a power of two");
            return Ok(HeapMemory { data: NonNull::<u8>::dangling().map_addr(|_| address), layout });
        }
        // SAFETY: I-LAYOUT: the size is not zero.
        let data = unsafe { alloc_zeroed(layout) };
        match NonNull::new(data) {
            Some(data) => Ok(HeapMemory { data, layout }),
            None => Err(Error::OutOfMemory { requested: byte_length }),
        }
    }
}

impl HeapMemory {
    pub(crate) fn data(&self) -> NonNull<u8> {
        self.data
    }
}

impl Drop for HeapMemory {
    fn drop(&mut self) {
        if self.layout.size() != 0 {
            // SAFETY: I-LAYOUT: allocated with this layout, and only freed here.
            unsafe { dealloc(self.data.as_ptr(), self.layout) };
        }
    }
}

// SAFETY: I-OWNER-SEND: there is no other pointer to the memory.
unsafe impl Send for HeapMemory {}
// SAFETY: I-OWNER-SEND: `&HeapMemory` gives an address and a length.
unsafe impl Sync for HeapMemory {}

// SAFETY: I-OWNER-SEND: the memory is zeroed, on the heap, and used by nobody else.
unsafe impl Owner for HeapMemory {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.data, self.layout.size())
    }
}

/// An owner, and a function that is called once, before the owner is dropped.
pub(crate) struct WithDeleter<O: Owner, F: FnOnce(*mut u8, usize)> {
    // Both are taken in `drop`, or in `into_parts` if the hand-over failed.
    parts: Option<(O, F)>,
}

impl<O: Owner, F: FnOnce(*mut u8, usize)> WithDeleter<O, F> {
    pub(crate) fn new(owner: O, deleter: F) -> Self {
        WithDeleter { parts: Some((owner, deleter)) }
    }

    pub(crate) fn into_parts(mut self) -> (O, F) {
        self.parts.take().expect("taken once")
    }
}

impl<O: Owner, F: FnOnce(*mut u8, usize)> Drop for WithDeleter<O, F> {
    fn drop(&mut self) {
        if let Some((mut owner, deleter)) = self.parts.take() {
            let memory = owner.memory();
            deleter(memory.cast().as_ptr(), memory.len());
        }
    }
}

// SAFETY: I-OWNER-SEND: the memory is the owner's, which keeps the contract itself.
unsafe impl<O: Owner, F: FnOnce(*mut u8, usize) + Send + 'static> Owner for WithDeleter<O, F> {
    fn memory(&mut self) -> NonNull<[u8]> {
        self.parts.as_mut().expect("only taken in drop").0.memory()
    }
}
