//! An allocator for QuickJS that can keep a block when QuickJS frees it.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use offheap::Owner;
use rquickjs::allocator;

/// The allocator of every [`Isolate`](crate::Isolate): that of C, which QuickJS uses by itself. It lets
/// [`externalize`](crate::BackingStoreExt::externalize) take the memory of a buffer that script made where it is,
/// without a copy.
///
/// A runtime of your own gets the same by this allocator; no other setting is needed. An allocator that wraps this
/// one passes every call on, with the same addresses.
///
/// ```
/// use offheap_quickjs::offheap::BackingStore;
/// use offheap_quickjs::rquickjs::{Context, Runtime, Value};
/// use offheap_quickjs::{Allocator, BackingStoreExt};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::full(&Runtime::new_with_alloc(Allocator::new())?)?;
/// context.with(|ctx| -> Result<(), Box<dyn std::error::Error>> {
///     let buffer: Value = ctx.eval("new ArrayBuffer(64 << 20)")?;
///     // Of 64 MiB, not one byte is copied.
///     let store = BackingStore::externalize(&ctx, &buffer)?;
///     assert_eq!(store.byte_length(), 64 << 20);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Allocator(());

impl Allocator {
    /// The allocator, for `Runtime::new_with_alloc`.
    pub fn new() -> Self {
        Allocator(())
    }
}

thread_local! {
    /// The block that the next `dealloc` of this thread with its address keeps instead of freeing it.
    static KEPT: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
}

// SAFETY: I-LAYOUT: the functions of C keep this contract. A block that is not freed has a new owner.
unsafe impl allocator::Allocator for Allocator {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        // SAFETY: any size is allowed.
        unsafe { libc::malloc(size) }.cast()
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        // SAFETY: any sizes are allowed.
        unsafe { libc::calloc(count, size) }.cast()
    }

    unsafe fn dealloc(&mut self, block: *mut u8) {
        if KEPT.get() == block && !block.is_null() {
            KEPT.set(ptr::null_mut());
            return;
        }
        // SAFETY: I-FREE-ONCE: the caller promises a block of this allocator.
        unsafe { libc::free(block.cast()) }
    }

    unsafe fn realloc(&mut self, block: *mut u8, size: usize) -> *mut u8 {
        // SAFETY: the caller promises a block of this allocator, or null.
        unsafe { libc::realloc(block.cast(), size) }.cast()
    }

    unsafe fn usable_size(block: *mut u8) -> usize {
        #[cfg(target_vendor = "apple")]
        // SAFETY: the caller promises a block of this allocator.
        let size = unsafe { libc::malloc_size(block.cast()) };
        #[cfg(not(target_vendor = "apple"))]
        // SAFETY: the caller promises a block of this allocator.
        let size = unsafe { libc::malloc_usable_size(block.cast()) };
        size
    }
}

/// The bytes before the data of each block, in which QuickJS keeps what it notes about the block.
const HEADER: usize = 8;

/// The memory of a buffer, in a block of [`Allocator`] that QuickJS has given up, or is about to give up.
pub(super) struct TakenBlock {
    data: NonNull<u8>,
    byte_length: usize,
}

impl TakenBlock {
    pub(super) fn new(data: NonNull<u8>, byte_length: usize) -> Self {
        TakenBlock { data, byte_length }
    }
}

impl Drop for TakenBlock {
    fn drop(&mut self) {
        let block = self.data.as_ptr().wrapping_sub(HEADER);
        // SAFETY: I-FREE-ONCE: the block, which `keep_block` has kept, and which only this value frees.
        unsafe { libc::free(block.cast()) }
    }
}

// SAFETY: I-OWNER-SEND: C's memory may be used and freed on any thread.
unsafe impl Send for TakenBlock {}

// SAFETY: I-LAYOUT: the bytes are initialised, because QuickJS zeroes the memory of buffers. They stay where they are
// until the block is freed.
unsafe impl Owner for TakenBlock {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.data, self.byte_length)
    }
}

/// Calls `free`, which makes QuickJS free the block with the data at `data`. Returns whether [`Allocator`] has kept
/// the block, which then belongs to the caller. If not, the block is freed.
pub(super) fn keep_block(data: NonNull<u8>, free: impl FnOnce()) -> bool {
    KEPT.set(data.as_ptr().wrapping_sub(HEADER));
    free();
    KEPT.replace(ptr::null_mut()).is_null()
}

/// Whether the runtime of a buffer has this allocator. `free` drops the buffer, whose memory of QuickJS's own is at
/// `data`, outside of QuickJS's arena.
pub(super) fn keeps_blocks(data: NonNull<u8>, byte_length: usize, free: impl FnOnce()) -> bool {
    let keeps = keep_block(data, free);
    if keeps {
        drop(TakenBlock::new(data, byte_length));
    }
    keeps
}
