//! An engine for tests: blocks that count their references, and whose length changes.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap::adapter::IsolateRegistration;

use super::Block;

pub(super) const ENGINE: &str = "Fake";

#[derive(Clone, Debug)]
pub(super) struct FakeBlock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    data: NonNull<c_void>,
    room: usize,
    byte_length: AtomicUsize,
}

// SAFETY: I-OWNER-SEND: an address that this value alone frees.
unsafe impl Send for Inner {}
// SAFETY: I-OWNER-SEND: as above; the length is atomic.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        let bytes = std::ptr::slice_from_raw_parts_mut(self.data.as_ptr().cast::<u8>(), self.room);
        // SAFETY: I-FREE-ONCE: made by `FakeBlock::new`.
        drop(unsafe { Box::from_raw(bytes) });
    }
}

impl FakeBlock {
    /// A block of zeros.
    pub(super) fn new(byte_length: usize, max_byte_length: usize) -> Self {
        let bytes = Box::leak(vec![0_u8; max_byte_length].into_boxed_slice());
        let byte_length = AtomicUsize::new(byte_length);
        FakeBlock(Arc::new(Inner { data: NonNull::from(bytes).cast(), room: max_byte_length, byte_length }))
    }

    pub(super) fn address(&self) -> usize {
        self.0.data.addr().get()
    }

    pub(super) fn set_byte_length(&self, byte_length: usize) {
        assert!(byte_length <= self.0.room);
        self.0.byte_length.store(byte_length, Ordering::Relaxed);
    }
}

// SAFETY: I-MAPPED: the bytes are one allocation, initialised, which the last reference frees; the length stays inside.
unsafe impl Block for FakeBlock {
    fn data(&self) -> Option<NonNull<c_void>> {
        Some(self.0.data)
    }

    fn byte_length(&self) -> usize {
        self.0.byte_length.load(Ordering::Relaxed)
    }

    fn use_count(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

pub(super) fn isolate() -> Arc<IsolateRegistration> {
    Arc::new(IsolateRegistration::new(ENGINE).unwrap())
}
