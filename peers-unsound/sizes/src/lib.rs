//! A global allocator that remembers the size of each block in front of it, and counts the blocks that are freed with
//! another. `GlobalAlloc::dealloc` requires the size that was allocated; glibc's `free` does not look at it, so that a wrong
//! one shows only with allocators that do.
//!
//! The instrument is not one of the programs that are looked at, and is the only crate here in which `unsafe` is written.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

const HEAD: usize = 64;

/// The allocator: `#[global_allocator] static SIZES: Sizes = Sizes;`.
pub struct Sizes;

static WRONG: AtomicUsize = AtomicUsize::new(0);
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static FREED_AS: AtomicUsize = AtomicUsize::new(0);

/// Of the last block that was freed with a size that is not its own: its size in bytes, and that with which it was freed.
pub fn wrong_size() -> Option<(usize, usize)> {
    let sizes = (ALLOCATED.load(Ordering::SeqCst), FREED_AS.load(Ordering::SeqCst));
    (WRONG.load(Ordering::SeqCst) > 0).then_some(sizes)
}

// SAFETY: each block comes from `System` with `HEAD` bytes more in front, which keeps alignments up to `HEAD`; larger ones
// go to `System` unchanged. It is given back with the layout that it was allocated with, which is read from the head.
unsafe impl GlobalAlloc for Sizes {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > HEAD {
            // SAFETY: as the caller promises.
            return unsafe { System.alloc(layout) };
        }
        // SAFETY: the size is not zero.
        let block = unsafe { System.alloc(Layout::from_size_align_unchecked(layout.size() + HEAD, HEAD)) };
        if block.is_null() {
            return block;
        }
        // SAFETY: the head is inside the block, and aligned for a `usize`.
        unsafe { block.cast::<usize>().write(layout.size()) };
        // SAFETY: the block is larger than its head.
        unsafe { block.add(HEAD) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if layout.align() > HEAD {
            // SAFETY: as in `alloc`.
            return unsafe { System.dealloc(pointer, layout) };
        }
        // SAFETY: the head is in front of what `alloc` gave out.
        let block = unsafe { pointer.sub(HEAD) };
        // SAFETY: `alloc` wrote it.
        let size = unsafe { block.cast::<usize>().read() };
        if size != layout.size() {
            ALLOCATED.store(size, Ordering::SeqCst);
            FREED_AS.store(layout.size(), Ordering::SeqCst);
            WRONG.fetch_add(1, Ordering::SeqCst);
        }
        // SAFETY: the layout of `alloc`.
        unsafe { System.dealloc(block, Layout::from_size_align_unchecked(size + HEAD, HEAD)) };
    }
}
