//! An engine's own block of memory.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

/// A counted reference to an engine's own block of memory, such as V8's `std::shared_ptr<v8::BackingStore>`. For adapters.
///
/// # Safety
/// While a value lives, with any clone of it:
/// - [`data`](Self::data) returns the same address, and the bytes there, up to [`byte_length`](Self::byte_length), are
///   initialised and mapped. Only the engine changes the length, and only bytes beyond a shorter length are unmapped.
/// - [`byte_length`](Self::byte_length) is at most `isize::MAX`.
/// - [`use_count`](Self::use_count) counts every reference to the block: each buffer of the engine, and each value of this
///   type.
///
/// Values may be cloned, asked and dropped on any thread, also inside of a finalizer.
pub unsafe trait Block: Clone + Send + Sync + 'static {
    /// Where the bytes begin; `None` for a block without bytes that has no address.
    fn data(&self) -> Option<NonNull<c_void>>;

    /// The length at this moment, in bytes.
    fn byte_length(&self) -> usize;

    /// How many references there are at this moment, this one included.
    fn use_count(&self) -> usize;

    /// A number that no other living block has, and every reference to this one: the address of its control block.
    fn id(&self) -> usize;
}

/// Who writes the bytes of an engine's block, and who changes its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockUse {
    /// Script writes them. The block has one length.
    Fixed,
    /// Nobody writes them any more. The block has one length.
    Frozen,
    /// Any number of isolates and threads write them. The length may rise.
    Shared,
    /// Script writes them, and makes the block longer and shorter.
    Resizable,
    /// Script writes them, and makes the block longer.
    Growable,
}

/// How many references to a block there are at this moment. What others did with its bytes before they let go of theirs came
/// before.
pub fn references<B: Block>(block: &B) -> usize {
    let count = block.use_count();
    fence(Ordering::Acquire);
    count
}

/// The [`Block`] of an engine whose blocks native code cannot refer to.
#[derive(Clone, Copy, Debug)]
pub enum NoBlock {}

// SAFETY: I-MAPPED: there is no value of the type.
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
