//! A global allocator that stores the size of each block in front of it, and counts blocks that are freed with a
//! different size. `GlobalAlloc::dealloc` requires the allocated size; glibc's `free` does not check it, so a wrong
//! size shows only with allocators that do.
//!
//! This tool is not one of the examined programs, and is the only crate here that contains `unsafe`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

const HEAD: usize = 64;

/// The allocator: `#[global_allocator] static SIZES: Sizes = Sizes;`.
pub struct Sizes;

static WRONG: AtomicUsize = AtomicUsize::new(0);
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static FREED_AS: AtomicUsize = AtomicUsize::new(0);

/// For the last block that was freed with a wrong size: its size in bytes, and the size with which it was freed.
pub fn wrong_size() -> Option<(usize, usize)> {
    let sizes = (ALLOCATED.load(Ordering::SeqCst), FREED_AS.load(Ordering::SeqCst));
    (WRONG.load(Ordering::SeqCst) > 0).then_some(sizes)
}

// SAFETY: each block comes from `System` with `HEAD` additional bytes in front, which keeps alignments up to `HEAD`.
// Blocks with larger alignments go to `System` unchanged. A block is freed with the layout of its allocation, which is
// read from the head.
unsafe impl GlobalAlloc for Sizes {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > HEAD {
            // SAFETY: the caller promises the contract of `alloc`.
            return unsafe { System.alloc(layout) };
        }
        // SAFETY: the size is not zero: it includes the head.
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
            // SAFETY: the caller promises the contract of `dealloc`, and the block came from `System` with this layout.
            return unsafe { System.dealloc(pointer, layout) };
        }
        // SAFETY: the head is in front of the block that `alloc` returned.
        let block = unsafe { pointer.sub(HEAD) };
        // SAFETY: `alloc` wrote the head.
        let size = unsafe { block.cast::<usize>().read() };
        if size != layout.size() {
            ALLOCATED.store(size, Ordering::SeqCst);
            FREED_AS.store(layout.size(), Ordering::SeqCst);
            WRONG.fetch_add(1, Ordering::SeqCst);
        }
        // SAFETY: `alloc` used this layout.
        unsafe { System.dealloc(block, Layout::from_size_align_unchecked(size + HEAD, HEAD)) };
    }
}
