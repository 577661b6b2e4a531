//! Memory that an engine owns, and may make longer or shorter.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::block::OF_ENGINE;
use super::{Memory, Owner, RawStore, WeakView};
use crate::{Error, IsolateId, Rejected, Site, StoreKind};

/// Memory that an engine owns and whose length the engine changes.
///
/// V8's resizable and growable buffers and its WebAssembly memories have such memory, kept by a `shared_ptr`. The store
/// over it has no length of its own: it asks for this one each time.
///
/// # Safety
/// From the hand-over until it is dropped:
/// - [`data`](Self::data) always returns the same address, which is not null;
/// - [`byte_length`](Self::byte_length) may be called on any thread, and is never more than `isize::MAX`;
/// - that many bytes at the address are initialised, mapped for reading and writing, and may take any value. Bytes behind a
///   length that the engine has shortened need not be mapped;
/// - only the engine and the holder of this value read or write them.
///
/// Dropping it may happen on any thread and must not call an engine.
pub unsafe trait EngineMemory: Send + Sync + 'static {
    /// The address.
    fn data(&self) -> NonNull<u8>;

    /// The present length in bytes.
    fn byte_length(&self) -> usize;

    /// The greatest length that it can have at this address, as far as the engine tells. It is at least the present length.
    fn max_byte_length(&self) -> usize;
}

/// The owner in such a block. The function comes first, so that it can be found without knowing `M`.
#[repr(C)]
struct EngineOwned<M> {
    ask: Ask,
    memory: M,
}

type Ask = unsafe fn(NonNull<c_void>, Question) -> usize;

#[derive(Clone, Copy)]
enum Question {
    ByteLength,
    MaxByteLength,
}

/// # Safety
/// `owner` points to a living `EngineOwned<M>`.
unsafe fn ask<M: EngineMemory>(owner: NonNull<c_void>, question: Question) -> usize {
    // SAFETY: I-LAYOUT: the caller's promise.
    let EngineOwned { memory, .. } = unsafe { owner.cast::<EngineOwned<M>>().as_ref() };
    match question {
        Question::ByteLength => memory.byte_length(),
        Question::MaxByteLength => memory.max_byte_length().max(memory.byte_length()),
    }
}

/// # Safety
/// `owner` points to a living `EngineOwned`.
#[cold]
unsafe fn ask_owner(owner: NonNull<c_void>, question: Question) -> usize {
    // SAFETY: I-LAYOUT: the caller's promise. An `EngineOwned` begins with an `Ask`.
    let ask = unsafe { owner.cast::<Ask>().read() };
    // SAFETY: I-LAYOUT: the function was stored beside an owner of its type, which is alive.
    unsafe { ask(owner, question) }
}

impl RawStore {
    /// A block over `memory`. Only this function makes blocks with the length `OF_ENGINE`, and blocks of an engine's kinds.
    pub(crate) fn of_engine<M: EngineMemory>(memory: M, kind: StoreKind, site: Site) -> Result<Self, Rejected<M>> {
        assert!(kind.is_of_engine(), "an engine's memory is of a kind of its own");
        let owner = EngineOwned { ask: ask::<M>, memory };
        let memory = |owner: &mut EngineOwned<M>| Memory { data: owner.memory.data(), byte_length: OF_ENGINE };
        RawStore::new(owner, kind, site, memory).map_err(|(error, owner)| Rejected::new(error, owner.memory))
    }

    /// A block of fixed length over memory that an engine owns and has its own buffer over, in `isolate`.
    #[inline]
    pub(crate) fn of_engine_buffer<O: Owner>(
        owner: O,
        isolate: IsolateId,
        site: Site,
    ) -> Result<(Self, WeakView), (Error, O)> {
        let mut raw = RawStore::new(owner, StoreKind::FIXED, site, |owner| Memory::from(owner.memory()))?;
        let weak = raw.expose_to_engine(isolate);
        Ok((raw, WeakView::whole(weak)))
    }

    /// A block over `memory`, which only grows, and over which the engine has its own buffer, in `isolate`.
    pub(crate) fn of_growing_buffer<M: EngineMemory>(
        memory: M,
        isolate: IsolateId,
        site: Site,
    ) -> Result<(Self, WeakView), Rejected<M>> {
        let mut raw = RawStore::of_engine(memory, StoreKind::ENGINE_GROWABLE, site)?;
        let weak = raw.expose_to_engine(isolate);
        Ok((raw, WeakView::whole(weak)))
    }

    /// Whether an engine owns the memory and changes its length.
    #[inline]
    pub(crate) fn is_of_engine(&self) -> bool {
        self.kind().is_of_engine()
    }

    /// Asks the engine memory in this block.
    #[cold]
    fn ask_engine(&self, question: Question) -> usize {
        assert_eq!(self.stored_byte_length(), OF_ENGINE, "the block has a length of its own");
        // SAFETY: I-LAYOUT: an owner with this length is an `EngineOwned`, which this reference keeps alive.
        unsafe { ask_owner(self.owner_ptr(), question) }
    }

    /// The present length of an engine's memory, by its owner in a block.
    ///
    /// # Safety
    /// `owner` points to a living `EngineOwned`.
    pub(super) unsafe fn engine_byte_length_of(owner: NonNull<c_void>) -> usize {
        // SAFETY: I-LAYOUT: the caller's promise.
        unsafe { ask_owner(owner, Question::ByteLength) }
    }

    pub(super) fn engine_byte_length(&self) -> usize {
        self.ask_engine(Question::ByteLength)
    }

    pub(super) fn engine_max_byte_length(&self) -> usize {
        self.ask_engine(Question::MaxByteLength)
    }
}
