//! Externalizing: the store of a buffer, whoever made it.
//!
//! Of a buffer over a store of ours, that store, found by its address; memory of our allocator knows its store by itself.
//! The memory of any other is V8's: a store of it keeps V8's block, and counts as exposed until V8 itself uses that no
//! more. Its length is V8's to say, where it can change.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use offheap::adapter::{self, EngineMemory, Hold};
use offheap::{BackingStore, FrozenOwner, FrozenStore, Owner, Site, StoreKind, UniqueStore};
use offheap_engine::refused_in_finalizer;

use super::allocator::{self, Made};
use super::ended;
use super::natives;
use super::object::{Buffer, Facts};
use super::state::{State, quick_isolate_id};
use super::table;
use crate::{ENGINE, Error};

type Block = v8::SharedRef<v8::BackingStore>;

/// The owner of a store over V8's memory.
struct V8Memory {
    // Dropped after `drop` took the entry out of the table.
    block: Block,
    data: NonNull<u8>,
    /// When the store was made; what has one length keeps it.
    byte_length: usize,
    /// Where V8 tells it.
    max_byte_length: Option<usize>,
    number: u64,
}

impl V8Memory {
    fn new(block: Block, data: NonNull<c_void>, byte_length: usize, max_byte_length: Option<usize>) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        V8Memory { block, data: data.cast(), byte_length, max_byte_length, number }
    }

    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.data, self.byte_length)
    }
}

impl Drop for V8Memory {
    fn drop(&mut self) {
        table::remove_made_by_engine(self.data.as_ptr().addr(), self.number);
    }
}

// SAFETY: I-OWNER-SEND: a block may be let go of on any thread (V8's I4, I23); the rest are plain numbers.
unsafe impl Send for V8Memory {}
// SAFETY: I-OWNER-SEND: `&V8Memory` asks the block for its length, which is an atomic number (V8's I16).
unsafe impl Sync for V8Memory {}
// SAFETY: I-MAPPED: the block keeps its bytes, which it does not move; those of one length stay mapped (V8's I1, I3).
// Script writes them too, which the exposure of the store says (`EngineMade`).
unsafe impl Owner for V8Memory {
    fn memory(&mut self) -> NonNull<[u8]> {
        self.bytes()
    }
}
// SAFETY: I-MAPPED: as above; used for blocks that V8 keeps script from writing.
unsafe impl FrozenOwner for V8Memory {
    fn memory(&self) -> NonNull<[u8]> {
        self.bytes()
    }
}
// SAFETY: I-MAPPED: V8 makes bytes accessible before it counts them in the length (I16), takes them away by shrinking a
// resizable buffer alone (I2), and moves no block (I3).
unsafe impl EngineMemory for V8Memory {
    fn data(&self) -> NonNull<u8> {
        self.data
    }

    fn byte_length(&self) -> usize {
        self.block.byte_length()
    }

    fn max_byte_length(&self) -> usize {
        self.max_byte_length.unwrap_or(self.byte_length)
    }
}

/// A store over V8's memory that counts as exposed in its isolate.
pub(crate) struct EngineMade {
    exposed: Hold,
    block: Block,
}

impl EngineMade {
    /// Whether V8 uses the block no more: the only references are this one, the store's owner, and the table's.
    fn is_let_go(&self) -> bool {
        let count = natives::use_count(&self.block);
        // What V8 did with the bytes, on whatever thread, came before it let go.
        fence(Ordering::Acquire);
        count <= 3
    }
}

/// The stores of one isolate over V8's own memory, and what was added since they were last looked through.
#[derive(Default)]
pub(crate) struct EngineMadeStores {
    made: Vec<EngineMade>,
    added_bytes: usize,
    /// How many stores the last look left.
    left: usize,
}

/// The list is looked through after so many more bytes, and where it has this many stores and twice as many as the last
/// look left: so that a look costs little per store.
const BYTES_BEFORE_A_LOOK: usize = 64 << 20;
const STORES_BEFORE_A_LOOK: usize = 64;

impl EngineMadeStores {
    fn look_is_due(&self) -> bool {
        let count = self.made.len();
        self.added_bytes >= BYTES_BEFORE_A_LOOK || count >= STORES_BEFORE_A_LOOK && count / 2 >= self.left
    }

    /// Takes out those whose memory V8 let go of.
    pub(super) fn take_let_go(&mut self) -> Vec<EngineMade> {
        let mut let_go = Vec::new();
        let mut index = 0;
        while index < self.made.len() {
            match self.made[index].is_let_go() {
                true => let_go.push(self.made.swap_remove(index)),
                false => index += 1,
            }
        }
        self.added_bytes = 0;
        self.left = self.made.len();
        let_go
    }

    pub(super) fn is_empty(&self) -> bool {
        self.made.is_empty()
    }
}

/// Ends the exposure of stores whose memory V8 let go of.
pub(crate) fn release_let_go(state: &State) {
    let let_go = state.engine_made().take_let_go();
    // Not under the lock: what drops them may be anybody's code.
    drop(let_go);
    ended::release();
}

/// Notes a store that counts as exposed until V8 let go of its block.
fn note_engine_made(state: &State, exposed: Hold, block: Block) {
    if state.engine_made().look_is_due() {
        release_let_go(state);
    }
    let made = EngineMade { exposed, block };
    let mut stores = state.engine_made();
    stores.added_bytes = stores.added_bytes.saturating_add(made.exposed.byte_length());
    stores.made.push(made);
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
        let data = address_of_block(&block);
        return match table::find(data.addr().get(), 0) {
            Some(store) => Located::Store(store),
            None => Located::EngineMade(memory(block, data)),
        };
    };
    // V8 takes the block from a buffer that it detaches, which may drop the owner, before it marks the buffer (V8's I8): to
    // the owner's drop the address is still that of the memory, and the block an empty one.
    if block.data() != Some(data) {
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
    let count = natives::use_count(block);
    // What others did with the bytes came before they let go.
    fence(Ordering::Acquire);
    count <= 2
}

fn address_of_block(block: &Block) -> NonNull<c_void> {
    NonNull::from(&**block).cast()
}

/// The store that a buffer is over, where there is one.
pub(crate) fn find(buffer: &Buffer<'_>) -> Option<BackingStore> {
    let Some(data) = buffer.data() else {
        let block = (!buffer.is_detached()).then(|| buffer.block());
        return table::find(address_of_block(&block?).addr().get(), 0);
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
        Made::Elsewhere => table::find(data.as_ptr().addr(), byte_length).map_or(Made::Elsewhere, Made::Store),
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
    let owner = V8Memory::new(block.clone(), data, byte_length, facts.max_byte_length);
    let number = owner.number;
    let isolate = state.isolate();
    let (store, exposed) = if facts.shared {
        // Which may be memory of WebAssembly, of several threads: nothing of its buffers tells.
        // SAFETY: I-MAPPED: shared memory never gets shorter (V8's I17).
        let shared = unsafe { adapter::shared_engine_memory(owner, Site::here()) };
        (shared?.as_store().clone(), None)
    } else if facts.immutable {
        (FrozenStore::from_owner(owner)?.into(), None)
    } else if facts.max_byte_length.is_some() || !is_detachable {
        // Buffers of WebAssembly are those that cannot be detached, resizable or not; its memory only grows.
        // SAFETY: I-MAPPED: only script of this isolate resizes it, or its WebAssembly; the hold is kept until V8 let go.
        let hold = unsafe { Hold::engine_memory(owner, isolate, is_detachable, Site::here()) };
        let hold = hold?;
        (hold.store(data.as_ptr().cast(), hold.byte_length()), Some(hold))
    } else {
        let store = BackingStore::from(UniqueStore::from_owner(owner)?);
        let hold = Hold::new(&store, isolate)?;
        (store, Some(hold))
    };
    if let Some(there) = table::insert_made_by_engine(data.as_ptr().addr(), number, &store, &block)? {
        // Another thread was faster.
        return Ok(there);
    }
    if let Some(exposed) = exposed {
        note_engine_made(state, exposed, block);
    }
    Ok(store)
}

/// V8's own block, where `store` is all of memory of V8's that V8 resizes: a buffer over it can do what the first one could.
/// Shared memory of WebAssembly is grown through its `WebAssembly.Memory` alone, and V8 says so of its block.
fn resizable_block(store: &BackingStore) -> Option<Block> {
    let may_be = matches!(store.kind(), StoreKind::Shared | StoreKind::EngineResizable);
    may_be.then(|| table::block_of(store)).flatten().filter(|block| block.is_resizable_by_user_javascript())
}

/// One more SharedArrayBuffer over growable memory that V8 made: it grows with the others, whichever isolate they are in.
/// `None` for all other memory.
pub(super) fn expose_growable<'s>(
    scope: &v8::PinScope<'s, '_>,
    store: &BackingStore,
) -> Option<v8::Local<'s, v8::SharedArrayBuffer>> {
    // The block keeps the memory by itself, and shared memory counts no buffers.
    resizable_block(store).map(|block| v8::SharedArrayBuffer::with_backing_store(scope, &block))
}

/// A resizable ArrayBuffer over resizable memory that V8 made and has no buffer over any more. `None` for all other memory.
pub(super) fn expose_resizable<'s>(
    scope: &v8::PinScope<'s, '_>,
    state: &State,
    store: &BackingStore,
) -> Result<Option<v8::Local<'s, v8::ArrayBuffer>>, Error> {
    if store.kind() != StoreKind::EngineResizable {
        return Ok(None);
    }
    let Some(block) = resizable_block(store) else { return Ok(None) };
    // Where there is a live buffer it is refused: two that resize one block would fault (V8's F3).
    let exposed = Hold::new(store, state.isolate())?;
    let buffer = v8::ArrayBuffer::with_backing_store(scope, &block);
    note_engine_made(state, exposed, block);
    Ok(Some(buffer))
}
