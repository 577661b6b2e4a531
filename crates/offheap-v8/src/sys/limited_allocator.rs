//! An allocator with a limit whose memory counts as V8's own: no store is over it from the beginning.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::c_void;
use std::ptr;

use super::allocator::{ALIGNMENT, is_for_this_crate};
use super::buffer_limit::BufferLimit;

static CALLS: v8::RustAllocatorVtable<BufferLimit> = v8::RustAllocatorVtable {
    allocate,
    // V8 writes these bytes before script sees them, but zeroed bytes cost little more.
    allocate_uninitialized: allocate,
    free,
    drop: drop_limit,
};

/// Makes the allocator of one isolate.
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
    let Some(layout) = layout(byte_length).filter(|_| limit.take(byte_length, !is_for_this_crate())) else {
        return ptr::null_mut();
    };
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
