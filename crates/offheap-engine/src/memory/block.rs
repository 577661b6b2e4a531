//! An engine's own block of memory.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

/// A counted reference to an engine's own block of memory, such as V8's `std::shared_ptr<v8::BackingStore>`. For
/// adapters.
///
/// # Safety
/// While a value or any clone of it lives:
/// - [`data`](Self::data) returns the same address, and the bytes from there up to
///   [`byte_length`](Self::byte_length) are initialized and mapped. Only the engine changes the length. Shrinking
///   unmaps only bytes beyond the new length.
/// - [`byte_length`](Self::byte_length) is at most `isize::MAX`.
/// - [`use_count`](Self::use_count) counts every reference to the block: each buffer of the engine, and each value
///   of this type.
///
/// Values may be cloned, called and dropped on any thread, also in a finalizer.
pub unsafe trait Block: Clone + Send + Sync + 'static {
    /// The address of the first byte, or `None` for a block without bytes that has no address.
    fn data(&self) -> Option<NonNull<c_void>>;

    /// The current length in bytes.
    fn byte_length(&self) -> usize;

    /// The current number of references, including this one.
    fn use_count(&self) -> usize;

    /// A number that all references to this block share and no other live block has: the address of its control
    /// block.
    fn id(&self) -> usize;
}

/// The code that writes the bytes of an engine's block, and the code that changes its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockUse {
    /// Script writes the bytes. The length is fixed.
    Fixed,
    /// No code writes the bytes any more. The length is fixed.
    Frozen,
    /// Any number of isolates and threads write the bytes. The length may grow.
    Shared,
    /// Script writes the bytes, and grows and shrinks the block.
    Resizable,
    /// Script writes the bytes, and grows the block.
    Growable,
}

/// The current number of references to a block. All accesses through a reference happen before this call if the
/// reference was dropped before the count was read.
pub fn references<B: Block>(block: &B) -> usize {
    let count = block.use_count();
    fence(Ordering::Acquire);
    count
}

/// The [`Block`] type for an engine whose blocks native code cannot refer to.
#[derive(Clone, Copy, Debug)]
pub enum NoBlock {}

// SAFETY: I-MAPPED: the type has no values.
unsafe impl Block for NoBlock {
    fn data(&self) -> Option<NonNull<c_void>> {
        match *self {}
    }

    fn byte_length(&self) -> usize {
        match *self {}
    }

    fn use_count(&self) -> usize {
        match *self {}
    }

    fn id(&self) -> usize {
        match *self {}
    }
}
