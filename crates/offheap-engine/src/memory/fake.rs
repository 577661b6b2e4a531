//! An engine for tests, with blocks that count their references and change their length.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use offheap::BackingStore;
use offheap::adapter::IsolateRegistration;

use super::{AddressTable, Adopted, Block, BlockUse, EndedIsolates, EngineMade, EngineMadeStores};

pub(super) const ENGINE: &str = "Fake";

#[derive(Clone, Debug)]
pub(super) struct FakeBlock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    data: NonNull<c_void>,
    room: usize,
    byte_length: AtomicUsize,
}

// SAFETY: I-OWNER-SEND: the address is of memory that only this value frees.
unsafe impl Send for Inner {}
// SAFETY: I-OWNER-SEND: the address is of memory that only this value frees; the length is atomic.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        let bytes = std::ptr::slice_from_raw_parts_mut(self.data.as_ptr().cast::<u8>(), self.room);
        // SAFETY: I-FREE-ONCE: `FakeBlock::new` made the box, and only the last reference drops `Inner`.
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

// SAFETY: I-MAPPED: the bytes are one initialized allocation, which the last reference frees; the length never
// exceeds it.
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

/// The stores that the engine has buffers over.
pub(super) static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);

/// An isolate of the engine.
pub(super) struct Isolate {
    pub(super) registration: Arc<IsolateRegistration>,
    pub(super) stores: Mutex<EngineMadeStores<FakeBlock>>,
    ended: Arc<EndedIsolates<FakeBlock>>,
}

impl Isolate {
    /// The first isolate of an engine.
    pub(super) fn new() -> Self {
        Isolate { registration: isolate(), stores: Mutex::default(), ended: Arc::new(EndedIsolates::new()) }
    }

    /// A host, which is one isolate for the whole process.
    pub(super) fn host() -> Self {
        Isolate { registration: Arc::new(IsolateRegistration::host(ENGINE).unwrap()), ..Isolate::new() }
    }

    /// Another isolate of the same engine.
    pub(super) fn sibling(&self) -> Self {
        Isolate { ended: Arc::clone(&self.ended), ..Isolate::new() }
    }

    /// Notes a store until the engine drops its block.
    pub(super) fn note(&self, made: EngineMade<FakeBlock>) {
        EngineMadeStores::note(&self.stores, &self.ended, made);
    }

    /// The store of a buffer over `block`. `block` stands for the engine's reference.
    pub(super) fn externalize(
        &self,
        block: &FakeBlock,
        usage: BlockUse,
        max_byte_length: Option<usize>,
    ) -> BackingStore {
        let (data, byte_length) = (block.data().unwrap(), block.byte_length());
        let adopted = Adopted { block: block.clone(), data, byte_length, max_byte_length, usage };
        // SAFETY: I-MAPPED: the address and length are the block's; only the tests write it, on this thread.
        let (store, made) = unsafe { TABLE.adopt(adopted, self.registration.id()) }.unwrap();
        if let Some(made) = made {
            self.note(made);
        }
        store
    }

    pub(super) fn look(&self) {
        EngineMadeStores::drop_released(&self.stores, &self.ended);
    }

    pub(super) fn end(self) {
        self.ended.leave(EngineMadeStores::end(&self.stores), self.registration);
    }
}
