//! A limit on the bytes of the buffers of one isolate. The allocator of the isolate asks it, so it counts what V8
//! allocates there: the memory of fixed-length buffers, shared ones included.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::allocator::{ALIGNMENT, is_for_this_crate};

/// V8 frees buffers on its own threads too, so the count is atomic.
pub(super) struct BufferLimit {
    limit: usize,
    used: AtomicUsize,
}

impl BufferLimit {
    pub(super) fn new(limit: usize) -> Self {
        BufferLimit { limit, used: AtomicUsize::new(0) }
    }

    /// Counts bytes that are about to be allocated. Returns whether there may be as many. A buffer of this crate itself is
    /// never refused.
    #[inline]
    pub(super) fn take(&self, byte_length: usize) -> bool {
        let limit = if is_for_this_crate() { usize::MAX } else { self.limit };
        let add = |used: usize| used.checked_add(byte_length).filter(|&sum| sum <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    #[inline]
    pub(super) fn give_back(&self, byte_length: usize) {
        let before = self.used.fetch_sub(byte_length, Ordering::Relaxed);
        debug_assert!(before >= byte_length, "returned more than was counted");
    }
}

static CALLS: v8::RustAllocatorVtable<BufferLimit> = v8::RustAllocatorVtable {
    allocate,
    // V8 writes these bytes before script sees them, but zeroed bytes cost little more.
    allocate_uninitialized: allocate,
    free,
    drop: drop_limit,
};

/// An allocator with a limit whose memory counts as V8's own: no store is over it from the beginning.
pub(super) fn new_limited_allocator(limit: BufferLimit) -> v8::UniqueRef<v8::Allocator> {
    let limit = Box::into_raw(Box::new(limit));
    // SAFETY: I-FREE-ONCE: the functions are for this type, and the last one frees it.
    unsafe { v8::new_rust_allocator(limit.cast_const(), &CALLS) }
}

/// The layout of an allocation. An empty one has a byte, so that its address is its own.
fn layout(byte_length: usize) -> Option<Layout> {
    Layout::from_size_align(byte_length.max(1), ALIGNMENT).ok()
}

unsafe extern "C" fn allocate(limit: &BufferLimit, byte_length: usize) -> *mut c_void {
    let Some(layout) = layout(byte_length).filter(|_| limit.take(byte_length)) else { return ptr::null_mut() };
    // SAFETY: I-LAYOUT: the size is not zero.
    let data = unsafe { alloc_zeroed(layout) };
    if data.is_null() {
        limit.give_back(byte_length);
    }
    data.cast()
}

/// V8 calls this once for each allocation, when it drops the last buffer over it, on any thread.
unsafe extern "C" fn free(limit: &BufferLimit, data: *mut c_void, byte_length: usize) {
    if data.is_null() {
        return;
    }
    limit.give_back(byte_length);
    let layout = layout(byte_length).expect("as it was allocated");
    // SAFETY: I-FREE-ONCE, I-LAYOUT: `allocate` gave V8 this memory, and V8 gives back the length that it asked for.
    unsafe { dealloc(data.cast(), layout) };
}

unsafe extern "C" fn drop_limit(limit: *const BufferLimit) {
    // SAFETY: I-FREE-ONCE: `new_limited_allocator` made it, and V8 calls this once, after the last `free`.
    drop(unsafe { Box::from_raw(limit.cast_mut()) });
}
