//! Externalizing: returns the store of any buffer.
//!
//! If the buffer is over one of our stores, the table finds that store by its address. Memory of our allocator knows
//! its own store. All other memory is V8's: a store over it keeps V8's block, and counts as exposed until V8 no longer
//! uses the block. If its length can change, V8 is asked for it.

use std::ffi::c_void;
use std::ptr::NonNull;

use offheap::adapter::{self, Hold};
use offheap::{BackingStore, StoreKind, UniqueStore};
use offheap_engine::memory::{Adopted, BlockUse, EngineMade, EngineMadeStores, references};
use offheap_engine::refused_in_finalizer;

use super::allocator::{self, Made};
use super::block::{Block, ENDED, TABLE};
use super::facts::Facts;
use super::natives;
use super::object::Buffer;
use super::state::{State, quick_isolate_id};
use crate::{ENGINE, Error};

/// Ends the exposure of stores whose memory V8 has released.
pub(crate) fn drop_released(state: &State) {
    EngineMadeStores::drop_released(state.engine_made(), &ENDED);
}

/// Records a store that counts as exposed until V8 has released its block.
fn note_engine_made(state: &State, made: EngineMade<Block>) {
    EngineMadeStores::note(state.engine_made(), &ENDED, made);
}

/// The memory of a buffer. It is located while the buffer's handles are in scope; the store is made later, on request.
pub(crate) enum Located {
    Store(BackingStore),
    Detached,
    /// V8 is dropping the owner of the memory right now, and that owner asks for the memory.
    InFinalizer,
    /// Memory without a store, with the block that keeps it: memory of our allocator, or V8's own.
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

/// The fast path to the store of an ArrayBuffer that is over a store, or over memory of our allocator. Returns `None`
/// in every other case, and if there is an error to report. Unlike [`locate`] it does not ask for the block: an owner
/// that V8 is dropping may have handles, but no scope.
#[track_caller]
#[inline]
pub(crate) fn store_of<'s>(scope: &v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Option<BackingStore> {
    let isolate = quick_isolate_id(scope)?;
    let buffer = v8::Local::<v8::ArrayBuffer>::try_from(value).ok()?;
    let data = buffer.data()?;
    let byte_length = buffer.byte_length();
    let store = match look_up(data, byte_length) {
        Made::Store(store) => store,
        Made::Unsettled if adapter::wants_script_stack(byte_length) => return None,
        Made::Unsettled => {
            // Memory of the allocator is settled by this fact and by none of the others, so V8 is not asked for those.
            let facts = Facts { immutable: natives::is_immutable(buffer), ..Facts::PLAIN };
            let facts = facts_of_memory(facts, || Buffer::Unshared(buffer).block());
            // SAFETY: I-FREE-ONCE: the buffer lives, and is not detached because it has data. The facts are its own.
            unsafe { allocator::settle(data, byte_length, facts, isolate) }.ok()?
        }
        Made::Elsewhere => return None,
    };
    adapter::note_externalized(&store, isolate);
    Some(store)
}

/// Looks for the store of a buffer. Runs no script and collects nothing, so guards may live.
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
        // V8 has no memory for an empty buffer, only a block. The address of the block itself is no buffer's data.
        let data = block.address();
        return match TABLE.look_up(data.addr().get(), 0) {
            Some(store) => Located::Store(store),
            None => Located::EngineMade(memory(block, data)),
        };
    };
    // When V8 detaches a buffer, it takes the block away before it marks the buffer as detached (V8's I8), which may
    // drop the owner. During the owner's drop the buffer still has the address of the memory, but an empty block.
    if block.0.data() != Some(data) {
        return Located::InFinalizer;
    }
    match look_up(data, byte_length) {
        Made::Store(store) => Located::Store(store),
        Made::Unsettled => Located::Unsettled(memory(block, data)),
        Made::Elsewhere => Located::EngineMade(memory(block, data)),
    }
}

/// The facts of a buffer's memory. The memory of an immutable buffer is frozen only if no other code has its block:
/// script may write through another buffer over that block. Buffers that are made later over the block are immutable.
#[inline]
fn facts_of_memory(facts: Facts, block: impl FnOnce() -> Block) -> Facts {
    Facts { immutable: facts.immutable && has_one_buffer(&block()), ..facts }
}

/// Whether only the buffer and this reference refer to the block.
fn has_one_buffer(block: &Block) -> bool {
    references(block) <= 2
}

/// Returns the store that a buffer is over, if there is one.
pub(crate) fn find(buffer: &Buffer<'_>) -> Option<BackingStore> {
    let Some(data) = buffer.data() else {
        let block = (!buffer.is_detached()).then(|| buffer.block());
        return TABLE.look_up(block?.address().addr().get(), 0);
    };
    // SAFETY: I-FREE-ONCE: the buffer is in its scope.
    unsafe { store_at(data, buffer.byte_length()) }
}

/// The store over the bytes of a buffer, if there is one. Runs no code of the program.
///
/// # Safety
/// The buffer has these bytes and lives, and V8 is not detaching it.
#[inline]
pub(super) unsafe fn store_at(data: NonNull<c_void>, byte_length: usize) -> Option<BackingStore> {
    match look_up(data, byte_length) {
        Made::Store(store) => Some(store),
        Made::Unsettled | Made::Elsewhere => None,
    }
}

/// Looks up `data`, which must be that of a live buffer.
#[inline]
fn look_up(data: NonNull<c_void>, byte_length: usize) -> Made {
    // SAFETY: I-FREE-ONCE: the buffer lives, and is not detached because it has data.
    match unsafe { allocator::find(data, byte_length) } {
        Made::Elsewhere => {
            // SAFETY: I-FREE-ONCE: the buffer lives, as above.
            let store = unsafe { TABLE.find(data.as_ptr().addr(), byte_length) };
            store.map_or(Made::Elsewhere, Made::Store)
        }
        made => made,
    }
}

impl Located {
    /// Whether the observer wants to know which script is running, because native code gets this memory for the first time.
    #[inline]
    pub(crate) fn wants_script_stack(&self) -> bool {
        match self {
            Located::Unsettled(memory) | Located::EngineMade(memory) => adapter::wants_script_stack(memory.byte_length),
            Located::Store(_) | Located::Detached | Located::InFinalizer => false,
        }
    }

    /// Returns the store. A detached buffer gives a new, empty one.
    #[track_caller]
    #[inline]
    pub(crate) fn into_store(self, state: &State) -> Result<BackingStore, Error> {
        let store = match self {
            Located::Store(store) => store,
            Located::Detached => return Ok(UniqueStore::zeroed(0)?.into()),
            Located::InFinalizer => return Err(refused_in_finalizer(ENGINE)),
            Located::EngineMade(memory) => adopt(state, memory)?,
            Located::Unsettled(memory) => {
                let Memory { block, data, byte_length, facts, .. } = memory;
                // SAFETY: I-FREE-ONCE: the block keeps V8 from releasing the memory, and it lives until it is dropped
                // below.
                let store = unsafe { allocator::settle(data, byte_length, facts, state.isolate()) };
                drop(block);
                store?
            }
        };
        adapter::note_externalized(&store, state.isolate());
        Ok(store)
    }
}

/// Makes a store over V8's own memory.
#[track_caller]
#[inline(never)]
fn adopt(state: &State, memory: Memory) -> Result<BackingStore, Error> {
    let Memory { block, data, byte_length, facts, is_detachable } = memory;
    let max_byte_length = facts.max_byte_length;
    let usage = match facts {
        // It may be memory of WebAssembly, used by several threads. Its buffers do not tell.
        Facts { shared: true, .. } => BlockUse::Shared,
        Facts { immutable: true, .. } => BlockUse::Frozen,
        // A buffer that is not detachable belongs to WebAssembly, resizable or not. Such memory only grows.
        _ if !is_detachable => BlockUse::Growable,
        Facts { max_byte_length: Some(_), .. } => BlockUse::Resizable,
        _ => BlockUse::Fixed,
    };
    let adopted = Adopted { block, data, byte_length, max_byte_length, usage };
    // SAFETY: I-MAPPED: the block, the address and the length are those of a live buffer, or the block has no bytes.
    // Shared memory never gets shorter (V8's I17). Other memory is resized only by script of this isolate, or by its
    // WebAssembly. The result is recorded below.
    let (store, made) = unsafe { TABLE.adopt(adopted, state.isolate()) }?;
    if let Some(made) = made {
        note_engine_made(state, made);
    }
    Ok(store)
}

/// Returns V8's own block if `store` is all of a memory that V8 resizes. A buffer over that block can be resized like
/// the first one. Shared memory of WebAssembly grows only through its `WebAssembly.Memory`, and its block says that
/// script cannot resize it.
fn resizable_block(store: &BackingStore) -> Option<Block> {
    let may_be = store.kind().is_shared() || store.kind() == StoreKind::ENGINE_RESIZABLE;
    may_be.then(|| TABLE.block_of(store)).flatten().filter(|block| block.0.is_resizable_by_user_javascript())
}

/// Makes another SharedArrayBuffer over growable memory that V8 made. It grows together with the other buffers, in any
/// isolate. Returns `None` for all other memory.
pub(super) fn expose_growable<'s>(
    scope: &v8::PinScope<'s, '_>,
    store: &BackingStore,
) -> Option<v8::Local<'s, v8::SharedArrayBuffer>> {
    // The block keeps the memory, and shared memory does not count its buffers.
    resizable_block(store).map(|block| v8::SharedArrayBuffer::with_backing_store(scope, &block.0))
}

/// Makes a resizable ArrayBuffer over resizable memory that V8 made, if V8 has no buffer over it any more. Returns
/// `None` for all other memory.
pub(super) fn expose_resizable<'s>(
    scope: &v8::PinScope<'s, '_>,
    state: &State,
    store: &BackingStore,
) -> Result<Option<v8::Local<'s, v8::ArrayBuffer>>, Error> {
    if store.kind() != StoreKind::ENGINE_RESIZABLE {
        return Ok(None);
    }
    let Some(block) = resizable_block(store) else { return Ok(None) };
    // A store with a live buffer is refused: if two buffers resize one block, accesses fault (V8's F3).
    let exposed = Hold::new(store, state.isolate())?;
    let buffer = v8::ArrayBuffer::with_backing_store(scope, &block.0);
    note_engine_made(state, EngineMade::new(exposed, block));
    Ok(Some(buffer))
}
