//! V8's own blocks of memory, and the table of all stores that the host has buffers over.

use std::ffi::c_void;
use std::ptr::NonNull;

use offheap_engine::memory::{self, AddressTable};

use super::shared_ptr::SharedPtr;
use super::symbols::Functions;
use crate::engine;

/// A reference to one of V8's blocks: its `v8::BackingStore`.
#[derive(Clone)]
pub(crate) struct Block {
    reference: SharedPtr,
    v8: &'static Functions,
}

// SAFETY: I-MAPPED: a block keeps its bytes (V8's I1) and does not move them (I3). The bytes are accessible before V8
// counts them in the length (I16), which is atomic. Only shrinking a resizable buffer takes bytes away (I2). A block
// may be released on any thread (I4, I23).
unsafe impl memory::Block for Block {
    #[inline]
    fn data(&self) -> Option<NonNull<c_void>> {
        // SAFETY: I-LAYOUT: a live block.
        NonNull::new(unsafe { (self.v8.block_data)(self.reference.object()) })
    }

    #[inline]
    fn byte_length(&self) -> usize {
        // SAFETY: I-LAYOUT: a live block.
        unsafe { (self.v8.block_byte_length)(self.reference.object()) }
    }

    #[inline]
    fn use_count(&self) -> usize {
        self.reference.use_count()
    }

    #[inline]
    fn id(&self) -> usize {
        self.reference.object().addr()
    }
}

impl Block {
    pub(super) fn new(reference: SharedPtr, v8: &'static Functions) -> Self {
        Block { reference, v8 }
    }

    pub(super) fn into_reference(self) -> SharedPtr {
        self.reference
    }

    /// Whether it is a block of a SharedArrayBuffer.
    pub(crate) fn is_shared(&self) -> bool {
        // SAFETY: I-LAYOUT: a live block.
        unsafe { (self.v8.block_is_shared)(self.reference.object()) }
    }

    /// Whether script resizes or grows it, through a buffer.
    pub(crate) fn is_resizable(&self) -> bool {
        // SAFETY: I-LAYOUT: a live block.
        unsafe { (self.v8.block_is_resizable)(self.reference.object()) }
    }

    /// The address of V8's object.
    pub(super) fn address(&self) -> NonNull<c_void> {
        self.reference.address()
    }

    /// The number of bytes that V8's object has at least.
    pub(super) fn allocated_bytes(&self) -> usize {
        // SAFETY: I-LAYOUT: V8 allocated the object by `operator new`, which is `malloc`.
        unsafe { libc::malloc_usable_size(self.reference.object()) }
    }

    /// The greatest length that it can have.
    pub(crate) fn max_byte_length(&self) -> usize {
        // SAFETY: I-LAYOUT: a live block.
        unsafe { (self.v8.block_max_byte_length)(self.reference.object()) }
    }
}

/// The stores that the host has buffers over, in all of its environments.
pub(crate) static TABLE: AddressTable<Block> = AddressTable::new(engine);
