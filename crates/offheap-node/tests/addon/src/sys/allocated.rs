//! Memory as `malloc` returns it, not written, and counted.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use offheap_node::offheap::Owner;

/// How many blocks were made, and how many freed. They are in two cache lines, since a thread of V8's may free what another one
/// makes, and the peer frees on the thread that makes.
static MADE: Count = Count(AtomicU64::new(0));
static FREED: Count = Count(AtomicU64::new(0));

#[repr(align(128))]
struct Count(AtomicU64);

/// A block that is freed when this is dropped.
pub(crate) struct Allocated(NonNull<[u8]>);

// SAFETY: I-OWNER-SEND: nobody else has the block.
unsafe impl Send for Allocated {}

impl Allocated {
    pub(crate) fn new(byte_length: usize) -> Self {
        let layout = layout(byte_length);
        // SAFETY: I-LAYOUT: the layout is not empty.
        let Some(data) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        MADE.0.fetch_add(1, Ordering::Relaxed);
        Allocated(NonNull::slice_from_raw_parts(data, byte_length))
    }

    /// The block, which nobody frees.
    pub(super) fn into_raw(self) -> NonNull<[u8]> {
        let block = self.0;
        std::mem::forget(self);
        block
    }

    /// # Safety
    /// `block` is what [`into_raw`](Self::into_raw) returned, once.
    pub(super) unsafe fn from_raw(block: NonNull<[u8]>) -> Self {
        Allocated(block)
    }
}

fn layout(byte_length: usize) -> Layout {
    Layout::from_size_align(byte_length.max(1), 16).expect("shorter than the address space")
}

impl Drop for Allocated {
    fn drop(&mut self) {
        FREED.0.fetch_add(1, Ordering::Relaxed);
        // SAFETY: I-FREE-ONCE: `new` made it, with this layout.
        unsafe { dealloc(self.0.as_ptr().cast(), layout(self.0.len())) };
    }
}

// SAFETY: I-OWNER-SEND: the block stays where it is, and nobody else reaches it.
unsafe impl Owner for Allocated {
    fn memory(&mut self) -> NonNull<[u8]> {
        self.0
    }
}

/// How many blocks there are.
pub(crate) fn kept() -> i64 {
    MADE.0.load(Ordering::Relaxed).wrapping_sub(FREED.0.load(Ordering::Relaxed)).cast_signed()
}
