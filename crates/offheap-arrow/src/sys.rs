//! The unsafe code of this crate: a part of an Arrow buffer's allocation, as the owner of a frozen store.
#![allow(
    unsafe_code,
    reason = "Arrow's allocations are known to Arrow; SAFETY.md names the invariant that each block cites"
)]

use std::ptr::NonNull;

use arrow_buffer::Buffer;
use offheap::FrozenOwner;

/// A buffer, with the bytes that its allocation has before the first of it.
pub(crate) struct Widened {
    buffer: Buffer,
    lead: usize,
}

impl Widened {
    /// The bytes of `buffer`, and `lead` bytes before them. `None` if its allocation does not have these.
    pub(crate) fn new(buffer: Buffer, lead: usize) -> Option<Self> {
        (lead <= buffer.ptr_offset()).then_some(Widened { buffer, lead })
    }
}

// SAFETY: I-OWNER-SEND: a `Buffer` is a counted reference to a whole allocation, of which it shows a part. Nobody writes any of
// these bytes while more than one reference lives, nor through this one. They are initialised, any thread may read them, and
// they do not move when the `Buffer` moves. `new` has checked that the lead is in the allocation.
unsafe impl FrozenOwner for Widened {
    fn memory(&self) -> NonNull<[u8]> {
        let begin = self.buffer.ptr_offset() - self.lead;
        // SAFETY: I-OWNER-SEND: the buffer begins `ptr_offset` bytes after the first byte of its allocation, and `begin` is not
        // greater.
        let data = unsafe { self.buffer.data_ptr().add(begin) };
        NonNull::slice_from_raw_parts(data, self.lead + self.buffer.len())
    }
}
