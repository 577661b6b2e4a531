//! Externalizing: the store of a buffer, whoever made it.
//!
//! Of a buffer over a store of ours, that store, found by its address; memory of our allocator knows its store by itself.
//! The memory of any other is V8's: a store of it keeps V8's block, and counts as exposed until V8 itself uses that no
//! more. Its length is V8's to say, where it can change.

use std::ffi::c_void;
use std::ptr::NonNull;

use offheap::adapter::{self, Hold};
use offheap::{BackingStore, StoreKind, UniqueStore};
use offheap_engine::memory::{Adopted, BlockUse, EngineMade, EngineMadeStores, references};
use offheap_engine::refused_in_finalizer;

use super::allocator::{self, Made};
use super::block::{Block, ENDED, TABLE};
use super::facts::Facts;
use super::object::Buffer;
use super::state::{State, quick_isolate_id};
use crate::{ENGINE, Error};

/// Ends the exposure of stores whose memory V8 let go of.
pub(crate) fn release_let_go(state: &State) {
    EngineMadeStores::release_let_go(state.engine_made(), &ENDED);
}

/// Notes a store that counts as exposed until V8 let go of its block.
fn note_engine_made(state: &State, made: EngineMade<Block>) {
    EngineMadeStores::note(state.engine_made(), &ENDED, made);
}

/// What is behind a buffer: found first, in the scope of its handles, and made a store of where that is called for.
pub(crate) enum Located {
    Store(BackingStore),
    Detached,
    /// V8 is dropping the owner of the memory at this moment, which asks for it.
    LettingGo,
    /// Memory without a store, and the block that keeps it: of our allocator, or V8's own.
    Unsettled(Memory),
    EngineMade(Memory),
}

pub(crate) struct Memory {
    block: Block,
    data: NonNull<c_void>,
    byte_length: usize,
    facts: Facts,
    is_detachable: bool,
}

/// The store of an ArrayBuffer that is over one, or over memory of our allocator: the quick way to it. `None` for all else,
/// and where there is an error to tell. It does not ask for the block, as [`locate`] does: an owner that V8 is dropping has
/// handles at most, and no scope.
#[track_caller]
#[inline]
pub(crate) fn store_of<'s>(scope: &v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Option<BackingStore> {
    let isolate = quick_isolate_id(scope)?;
    let buffer = v8::Local::<v8::ArrayBuffer>::try_from(value).ok()?;
    let data = buffer.data()?;
    let byte_length = buffer.byte_length();
    let store = match look_up(data, byte_length) {
        Made::Store(store) => store,
        Made::Unsettled => {
            let buffer = Buffer::Unshared(buffer);
            let facts = facts_of_memory(buffer.facts(), || buffer.block());
            // SAFETY: I-FREE-ONCE: the buffer lives, and is not detached since it has data; the facts are its own.
            unsafe { allocator::settle(data, byte_length, facts, isolate) }.ok()?
        }
        Made::Elsewhere => return None,
    };
    adapter::note_externalized(&store, isolate);
    Some(store)
}

/// Looks for the store of a buffer. Runs no script and collects nothing: guards may live.
#[inline]
pub(crate) fn locate(buffer: &Buffer<'_>, facts: Facts) -> Located {
    if buffer.is_detached() {
        return Located::Detached;
    }
    let byte_length = buffer.byte_length();
    let block = buffer.block();
    let memory = |block: Block, data| {
        let facts = Facts { immutable: facts.immutable && has_one_buffer(&block), ..facts };
        Memory { block, data, byte_length, facts, is_detachable: buffer.is_detachable() }
    };
    let Some(data) = buffer.data() else {
        // V8 has no memory for an empty buffer, but one block, whose own address is nobody's data.
        let data = block.address();
        return match TABLE.look_up(data.addr().get(), 0) {
            Some(store) => Located::Store(store),
            None => Located::EngineMade(memory(block, data)),
        };
    };
    // V8 takes the block from a buffer that it detaches, which may drop the owner, before it marks the buffer (V8's I8): to
    // the owner's drop the address is still that of the memory, and the block an empty one.
    if block.0.data() != Some(data) {
        return Located::LettingGo;
    }
    match look_up(data, byte_length) {
        Made::Store(store) => Located::Store(store),
        Made::Unsettled => Located::Unsettled(memory(block, data)),
        Made::Elsewhere => Located::EngineMade(memory(block, data)),
    }
}

/// The facts of a buffer's memory. That of an immutable buffer is frozen where nobody else has its block: another buffer over
/// that may be one that script writes. Those that are made later are immutable.
#[inline]
fn facts_of_memory(facts: Facts, block: impl FnOnce() -> Block) -> Facts {
    Facts { immutable: facts.immutable && has_one_buffer(&block()), ..facts }
}

/// Whether the only references to a block are its buffer's and this one.
fn has_one_buffer(block: &Block) -> bool {
    references(block) <= 2
}

/// The store that a buffer is over, where there is one.
pub(crate) fn find(buffer: &Buffer<'_>) -> Option<BackingStore> {
    let Some(data) = buffer.data() else {
        let block = (!buffer.is_detached()).then(|| buffer.block());
        return TABLE.look_up(block?.address().addr().get(), 0);
    };
    match look_up(data, buffer.byte_length()) {
        Made::Store(store) => Some(store),
        Made::Unsettled | Made::Elsewhere => None,
    }
}

/// `data` is that of a buffer in its scope.
#[inline]
fn look_up(data: NonNull<c_void>, byte_length: usize) -> Made {
    // SAFETY: I-FREE-ONCE: the buffer lives, and is not detached since it has data.
    match unsafe { allocator::find(data, byte_length) } {
        Made::Elsewhere => {
            // SAFETY: I-FREE-ONCE: as above.
            let store = unsafe { TABLE.find(data.as_ptr().addr(), byte_length) };
            store.map_or(Made::Elsewhere, Made::Store)
        }
        made => made,
    }
}

impl Located {
    /// The store. Of a detached buffer, a new, empty one.
    #[track_caller]
    #[inline]
    pub(crate) fn into_store(self, state: &State) -> Result<BackingStore, Error> {
        let store = match self {
            Located::Store(store) => store,
            Located::Detached => return Ok(UniqueStore::zeroed(0)?.into()),
            Located::LettingGo => return Err(refused_in_finalizer(ENGINE)),
            Located::EngineMade(memory) => adopt(state, memory)?,
            Located::Unsettled(memory) => {
                let Memory { block, data, byte_length, facts, .. } = memory;
                // SAFETY: I-FREE-ONCE: what keeps V8 from letting go is its block, which lives until below.
                let store = unsafe { allocator::settle(data, byte_length, facts, state.isolate()) };
                drop(block);
                store?
            }
        };
        adapter::note_externalized(&store, state.isolate());
        Ok(store)
    }
}

/// A store over V8's own memory.
#[track_caller]
#[inline(never)]
fn adopt(state: &State, memory: Memory) -> Result<BackingStore, Error> {
    let Memory { block, data, byte_length, facts, is_detachable } = memory;
    let max_byte_length = facts.max_byte_length;
    let usage = match facts {
        // It may be memory of WebAssembly, of several threads: nothing of its buffers tells.
        Facts { shared: true, .. } => BlockUse::Shared,
        Facts { immutable: true, .. } => BlockUse::Frozen,
        // Buffers of WebAssembly are those that cannot be detached, resizable or not; its memory only grows.
        _ if !is_detachable => BlockUse::Growable,
        Facts { max_byte_length: Some(_), .. } => BlockUse::Resizable,
        _ => BlockUse::Fixed,
    };
    let adopted = Adopted { block, data, byte_length, max_byte_length, usage };
    // SAFETY: I-MAPPED: the block, the address and the length are those of a living buffer, or the block is without bytes. Shared
    // memory never gets shorter (V8's I17); only script of this isolate resizes other memory, or its WebAssembly. What is made is
    // noted below.
    let (store, made) = unsafe { TABLE.adopt(adopted, state.isolate()) }?;
    if let Some(made) = made {
        note_engine_made(state, made);
    }
    Ok(store)
}

/// V8's own block, where `store` is all of memory of V8's that V8 resizes: a buffer over it can do what the first one could.
/// Shared memory of WebAssembly is only grown through its `WebAssembly.Memory`, and V8 says so of its block.
fn resizable_block(store: &BackingStore) -> Option<Block> {
    let may_be = store.kind().is_shared() || store.kind() == StoreKind::ENGINE_RESIZABLE;
    may_be.then(|| TABLE.block_of(store)).flatten().filter(|block| block.0.is_resizable_by_user_javascript())
}

/// One more SharedArrayBuffer over growable memory that V8 made: it grows with the others, whichever isolate they are in.
/// `None` for all other memory.
pub(super) fn expose_growable<'s>(
    scope: &v8::PinScope<'s, '_>,
    store: &BackingStore,
) -> Option<v8::Local<'s, v8::SharedArrayBuffer>> {
    // The block keeps the memory by itself, and shared memory counts no buffers.
    resizable_block(store).map(|block| v8::SharedArrayBuffer::with_backing_store(scope, &block.0))
}

/// A resizable ArrayBuffer over resizable memory that V8 made and has no buffer over any more. `None` for all other memory.
pub(super) fn expose_resizable<'s>(
    scope: &v8::PinScope<'s, '_>,
    state: &State,
    store: &BackingStore,
) -> Result<Option<v8::Local<'s, v8::ArrayBuffer>>, Error> {
    if store.kind() != StoreKind::ENGINE_RESIZABLE {
        return Ok(None);
    }
    let Some(block) = resizable_block(store) else { return Ok(None) };
    // Where there is a live buffer it is refused: two that resize one block would fault (V8's F3).
    let exposed = Hold::new(store, state.isolate())?;
    let buffer = v8::ArrayBuffer::with_backing_store(scope, &block.0);
    note_engine_made(state, EngineMade::new(exposed, block));
    Ok(Some(buffer))
}
