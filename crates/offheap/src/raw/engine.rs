//! Memory that an engine owns, and may make longer or shorter.

use std::ffi::c_void;
use std::ptr::NonNull;

use super::block::OF_ENGINE;
use super::{Memory, RawStore};
use crate::{Rejected, Site, StoreKind};

/// Memory that an engine owns and whose length the engine changes.
///
/// It is what is behind V8's resizable and growable buffers and its WebAssembly memories, through the `shared_ptr` that
/// keeps them. The store over it has no length of its own: it asks for this one each time that it is asked.
///
/// # Safety
/// From the time when it is handed over until it is dropped:
/// - [`data`](Self::data) always returns the same address, which is not null;
/// - [`byte_length`](Self::byte_length) may be called on any thread, and is never more than `isize::MAX`;
/// - that many bytes at the address are initialised, mapped for reading and writing, and may take any value. Only what the
///   engine takes away by making it shorter is not;
/// - nobody but the engine and the holder of this value reads or writes them.
///
/// Dropping it may happen on any thread and must not call an engine.
pub unsafe trait EngineMemory: Send + Sync + 'static {
    /// The address.
    fn data(&self) -> NonNull<u8>;

    /// The length at this moment, in bytes.
    fn byte_length(&self) -> usize;

    /// The most bytes that it can have at this address, as far as the engine tells: at least its length.
    fn max_byte_length(&self) -> usize;
}

/// The owner in such a block. It begins with what asks, so that this can be found while `M` is not known.
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

impl RawStore {
    /// Only this makes blocks with the length `OF_ENGINE`, and of kinds that are `is_of_engine`.
    pub(crate) fn of_engine<M: EngineMemory>(memory: M, kind: StoreKind, site: Site) -> Result<Self, Rejected<M>> {
        assert!(kind.is_of_engine(), "an engine's memory is of a kind of its own");
        let owner = EngineOwned { ask: ask::<M>, memory };
        let memory = |owner: &mut EngineOwned<M>| Memory { data: owner.memory.data(), byte_length: OF_ENGINE };
        RawStore::new(owner, kind, site, memory).map_err(|(error, owner)| Rejected::new(error, owner.memory))
    }

    /// Whether an engine owns the memory and changes its length.
    #[inline]
    pub(crate) fn is_of_engine(&self) -> bool {
        self.kind().is_of_engine()
    }

    /// Asks the engine memory that the caller found in the block.
    #[cold]
    fn ask_engine(&self, question: Question) -> usize {
        assert_eq!(self.stored_byte_length(), OF_ENGINE, "the block has a length of its own");
        let owner = self.owner_ptr();
        // SAFETY: I-LAYOUT: an owner with this length is an `EngineOwned`, which begins with an `Ask`.
        let ask = unsafe { owner.cast::<Ask>().read() };
        // SAFETY: I-LAYOUT: stored beside an owner of the type that it is for, which this reference keeps.
        unsafe { ask(owner, question) }
    }

    pub(super) fn engine_byte_length(&self) -> usize {
        self.ask_engine(Question::ByteLength)
    }

    pub(super) fn engine_max_byte_length(&self) -> usize {
        self.ask_engine(Question::MaxByteLength)
    }
}
