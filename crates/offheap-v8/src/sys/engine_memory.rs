//! Externalizing: the store of a buffer, whoever made it.
//!
//! Of a buffer over a store of ours, that store, found by its address. The memory of any other is V8's: a store of it
//! keeps V8's block, and counts as exposed until V8 itself uses that no more.

use std::ffi::{c_long, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use offheap::{BackingStore, Exposed, FrozenOwner, FrozenStore, Owner, SharedStore, StoreKind, UniqueStore};

use super::object::{Buffer, Facts};
use super::state::State;
use super::table;
use crate::{ENGINE, Error};

type Block = v8::SharedRef<v8::BackingStore>;

unsafe extern "C" {
    /// `std::shared_ptr::use_count`, which the crate `v8` links and does not offer.
    fn std__shared_ptr__v8__BackingStore__use_count(block: *const c_void) -> c_long;
}

/// The owner of a store over V8's memory.
struct EngineMemory {
    // Dropped after `drop` took the entry out of the table.
    _block: Block,
    data: NonNull<u8>,
    byte_length: usize,
    number: u64,
}

impl EngineMemory {
    fn new(block: Block, data: NonNull<c_void>, byte_length: usize) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        EngineMemory { _block: block, data: data.cast(), byte_length, number }
    }

    fn bytes(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.data, self.byte_length)
    }
}

impl Drop for EngineMemory {
    fn drop(&mut self) {
        table::remove_made_by_engine(self.data.as_ptr().addr(), self.number);
    }
}

// SAFETY: I-OWNER-SEND: a block may be let go of on any thread (V8's I4, I23); the rest are plain numbers.
unsafe impl Send for EngineMemory {}
// SAFETY: I-MAPPED: the block keeps its bytes, which it does not move; those of one length stay mapped (V8's I1, I3).
// Script writes them too, which the exposure of the store says (`EngineMade`).
unsafe impl Owner for EngineMemory {
    fn memory(&mut self) -> NonNull<[u8]> {
        self.bytes()
    }
}
// SAFETY: I-MAPPED: as above; used for blocks that V8 keeps script from writing.
unsafe impl FrozenOwner for EngineMemory {
    fn memory(&self) -> NonNull<[u8]> {
        self.bytes()
    }
}

/// A store over V8's memory that counts as exposed in its isolate.
pub(crate) struct EngineMade {
    exposed: Exposed,
    block: Block,
}

impl EngineMade {
    /// Whether V8 uses the block no more: the only references are this one and the store's owner.
    fn is_let_go(&self) -> bool {
        // SAFETY: I-LAYOUT: a `SharedRef` is a C++ `shared_ptr`, which this function is made for.
        let count = unsafe { std__shared_ptr__v8__BackingStore__use_count((&raw const self.block).cast()) };
        // What V8 did with the bytes, on whatever thread, came before it let go.
        fence(Ordering::Acquire);
        count <= 2
    }
}

/// Beyond this many bytes or stores the list is looked through.
const BYTES_BEFORE_A_LOOK: usize = 64 << 20;
const STORES_BEFORE_A_LOOK: usize = 64;

/// Ends the exposure of stores whose memory V8 let go of.
pub(crate) fn release_let_go(state: &State) {
    let mut let_go = Vec::new();
    let mut made = state.engine_made();
    let mut index = 0;
    while index < made.len() {
        match made[index].is_let_go() {
            true => let_go.push(made.swap_remove(index)),
            false => index += 1,
        }
    }
    drop(made);
    // Not under the lock: what drops them may be anybody's code.
    drop(let_go);
}

fn release_when_many(state: &State) {
    let made = state.engine_made();
    let count = made.len();
    // At each doubling, so that it is little per store; and where the bytes are many.
    let bytes = || made.iter().map(|made| made.exposed.byte_length()).sum::<usize>() > BYTES_BEFORE_A_LOOK;
    let look = count >= STORES_BEFORE_A_LOOK && count.is_power_of_two() || count < STORES_BEFORE_A_LOOK && bytes();
    drop(made);
    if look {
        release_let_go(state);
    }
}

/// What is behind a buffer: found first, in the scope of its handles, and made a store of where that is called for.
pub(crate) enum Located {
    Store(BackingStore),
    Detached,
    EngineMade { block: Block, data: NonNull<c_void>, byte_length: usize, facts: Facts },
    Unsupported,
}

/// Looks for the store of a buffer. Runs no script and collects nothing: guards may live.
#[inline]
pub(crate) fn locate(buffer: &Buffer<'_>, facts: Facts) -> Located {
    if buffer.is_detached() {
        return Located::Detached;
    }
    let byte_length = buffer.byte_length();
    let Some(data) = buffer.data() else {
        // V8 has no memory for an empty buffer, but one block, whose own address is nobody's data.
        let block = buffer.block();
        let data = NonNull::from(&*block).cast();
        return match table::find(data.addr().get(), 0) {
            Some(store) => Located::Store(store),
            None => Located::EngineMade { block, data, byte_length: 0, facts },
        };
    };
    match table::find(data.as_ptr().addr(), byte_length) {
        Some(store) if store.byte_length() == byte_length => Located::Store(store),
        _ if facts.max_byte_length.is_some() || !facts.shared && !buffer.is_detachable() => Located::Unsupported,
        // Where there is a store of another length, shared memory of WebAssembly grew. That one stays valid.
        _ => Located::EngineMade { block: buffer.block(), data, byte_length, facts },
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
            Located::EngineMade { block, data, byte_length, facts } => adopt(state, block, data, byte_length, facts)?,
            Located::Unsupported => {
                return Err(Error::Unsupported {
                    engine: ENGINE,
                    what: "externalize a resizable buffer of its own, or WebAssembly's, yet",
                    instead: "copy it to a buffer of one length",
                });
            }
        };
        store.note_externalized(state.isolate());
        Ok(store)
    }
}

/// A store over V8's own memory.
#[track_caller]
#[inline(never)]
fn adopt(
    state: &State,
    block: Block,
    data: NonNull<c_void>,
    byte_length: usize,
    facts: Facts,
) -> Result<BackingStore, Error> {
    let owner = EngineMemory::new(block.clone(), data, byte_length);
    let number = owner.number;
    let store = match (facts.shared, facts.immutable) {
        (true, _) => SharedStore::from_owner(owner)?.as_store().clone(),
        (false, true) => FrozenStore::from_owner(owner)?.into(),
        (false, false) => UniqueStore::from_owner(owner)?.into(),
    };
    let counts = store.kind() == StoreKind::Fixed;
    let exposed = if counts { Some(Exposed::new(&store, state.isolate())?) } else { None };
    if let Some(there) = table::insert_made_by_engine(data.as_ptr().addr(), number, &store)? {
        // Another thread was faster; that can be about shared memory alone.
        return Ok(there);
    }
    if let Some(exposed) = exposed {
        release_when_many(state);
        state.engine_made().push(EngineMade { exposed, block });
    }
    Ok(store)
}
