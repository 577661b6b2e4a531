//! V8's own blocks of memory, and the table of all stores that V8 has buffers over.

use std::ffi::c_void;
use std::ptr::NonNull;

use offheap_engine::memory::{self, AddressTable, EndedIsolates};

use super::natives;
use crate::ENGINE;

/// A reference to one of V8's blocks.
#[derive(Clone)]
pub(crate) struct Block(pub(super) v8::SharedRef<v8::BackingStore>);

// SAFETY: I-MAPPED: a block keeps its bytes (V8's I1) and does not move them (I3). The bytes are accessible before V8
// counts them in the length (I16), which is atomic. Only shrinking a resizable buffer takes bytes away (I2). A block
// may be released on any thread (I4, I23).
unsafe impl memory::Block for Block {
    fn data(&self) -> Option<NonNull<c_void>> {
        self.0.data()
    }

    fn byte_length(&self) -> usize {
        self.0.byte_length()
    }

    fn use_count(&self) -> usize {
        natives::use_count(&self.0)
    }

    fn id(&self) -> usize {
        (&raw const *self.0).addr()
    }
}

impl Block {
    /// The address of the block object itself. No data of a buffer is there.
    pub(super) fn address(&self) -> NonNull<c_void> {
        NonNull::from(&*self.0).cast()
    }
}

/// The stores that V8 has buffers over.
pub(super) static TABLE: AddressTable<Block> = AddressTable::new(|| ENGINE);

/// Stores over V8's own memory that ended isolates left behind.
pub(super) static ENDED: EndedIsolates<Block> = EndedIsolates::new();
