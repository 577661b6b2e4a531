//! Whose memory begins at an address: the stores that V8 has buffers over, of all isolates.
//!
//! V8 does not tell what is behind a buffer, nor notice that one pointer is given to it twice. An entry goes before
//! what keeps the memory does, so that what is found is alive while the shard is locked.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::ffi::c_void;
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{BackingStore, StoreId, WeakStore};

use crate::{ENGINE, Error};

type Block = v8::SharedRef<v8::BackingStore>;

#[derive(Default)]
struct Entry {
    /// The holds of buffers over our memory: all holds on one store are the same pointer.
    held: Option<Held>,
    /// Those of further stores: of read-only memory there may be several, as of one `static`.
    more: Vec<Held>,
    made_by_engine: Option<MadeByEngine>,
}

/// The store of V8's own memory.
struct MadeByEngine {
    /// The number of its owner, which keeps the block too: this one is never the last reference to it.
    owner: u64,
    store: WeakStore,
    block: Block,
}

impl MadeByEngine {
    fn upgrade(&self) -> Option<BackingStore> {
        self.store.upgrade()
    }
}

struct Held {
    hold: NonNull<c_void>,
    store: StoreId,
    read_only: bool,
    count: usize,
    /// The id of the isolate that an unshared store is exposed in stays in use while holds are counted there, which may be
    /// longer than the isolate lives.
    isolate: Arc<IsolateRegistration>,
}

// SAFETY: I-OWNER-SEND: a hold is a reference to a store, which may be sent.
unsafe impl Send for Held {}

const SHARDS: usize = 64;
type Shard = HashMap<usize, Entry, BuildHasherDefault<AddressHasher>>;
static TABLE: [Mutex<Option<Shard>>; SHARDS] = [const { Mutex::new(None) }; SHARDS];

/// Addresses differ in their middle bits.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are addresses")
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

fn lock(address: usize) -> MutexGuard<'static, Option<Shard>> {
    // Blocks of different pages, and neighbours on one, in different shards.
    let shard = (address >> 4 ^ address >> 12) % SHARDS;
    TABLE[shard].lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_entry<R>(address: usize, change: impl FnOnce(&mut Entry) -> R) -> Result<R, Error> {
    let mut shard = lock(address);
    let shard = shard.get_or_insert_default();
    let requested = size_of::<Entry>();
    shard.try_reserve(1).map_err(|_| offheap::Error::OutOfMemory { requested })?;
    let entry = shard.entry(address).or_default();
    let result = change(entry);
    if entry.is_empty() {
        shard.remove(&address);
    }
    Ok(result)
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.held.is_none() && self.more.is_empty() && self.made_by_engine.is_none()
    }
}

/// Notes a buffer in `isolate` over our memory, of the store `store`, whose hold this is as a pointer.
pub(crate) fn insert_hold(
    address: usize,
    hold: NonNull<c_void>,
    store: &BackingStore,
    isolate: &Arc<IsolateRegistration>,
) -> Result<(), Error> {
    let (store, read_only) = (store.id(), store.kind().is_read_only());
    // A reference that a weak one gave may be the last by now, so it is not dropped under the lock.
    let mut upgraded = None;
    with_entry(address, |entry| {
        upgraded = entry.made_by_engine.as_ref().and_then(MadeByEngine::upgrade);
        if let Some(other) = upgraded.as_ref().map(BackingStore::id).filter(|&there| there != store) {
            return Err(Error::AddressTaken { engine: ENGINE, store, other });
        }
        if let Some(held) = entry.held.iter_mut().chain(&mut entry.more).find(|held| held.store == store) {
            held.count += 1;
            return Ok(());
        }
        let new = Held { hold, store, read_only, count: 1, isolate: Arc::clone(isolate) };
        match &entry.held {
            None => entry.held = Some(new),
            Some(held) if held.read_only && read_only => {
                let requested = size_of::<Held>();
                entry.more.try_reserve(1).map_err(|_| offheap::Error::OutOfMemory { requested })?;
                entry.more.push(new);
            }
            Some(held) => return Err(Error::AddressTaken { engine: ENGINE, store, other: held.store }),
        }
        Ok(())
    })?
}

/// Takes back what [`insert_hold`] noted; before the hold goes. What comes back is dropped after it.
pub(crate) fn remove_hold(address: usize, hold: NonNull<c_void>) -> Option<Arc<IsolateRegistration>> {
    const NOTED: &str = "made by `insert_hold`";
    let mut shard = lock(address);
    let shard = shard.as_mut().expect(NOTED);
    let MapEntry::Occupied(mut occupied) = shard.entry(address) else { panic!("{NOTED}") };
    let entry = occupied.get_mut();
    let held = entry.held.iter_mut().chain(&mut entry.more).find(|held| held.hold == hold).expect(NOTED);
    held.count -= 1;
    if held.count != 0 {
        // The others may go before this one's hold does, on another thread, and the isolate be gone.
        return Some(Arc::clone(&held.isolate));
    }
    REMOVALS.fetch_add(1, Ordering::Release);
    let gone = match &entry.held {
        Some(held) if held.hold == hold => std::mem::replace(&mut entry.held, entry.more.pop()),
        _ => entry.more.iter().position(|held| held.hold == hold).map(|index| entry.more.swap_remove(index)),
    };
    if entry.is_empty() {
        occupied.remove();
    }
    gone.map(|held| held.isolate)
}

/// How many holds were the last at their address and went. What is remembered holds while this stays.
static REMOVALS: AtomicU64 = AtomicU64::new(0);

/// What [`find`] found last on a thread, without the lock that would be a third of the call.
#[derive(Clone, Copy)]
struct Last {
    address: usize,
    hold: NonNull<c_void>,
    removals: u64,
}

thread_local! {
    static LAST: Cell<Option<Last>> = const { Cell::new(None) };
}

/// The store that has the `byte_length` bytes at an address, which a live buffer of this thread's isolate has.
#[inline]
pub(crate) fn find(address: usize, byte_length: usize) -> Option<BackingStore> {
    // An empty buffer of a program's own block may end where our memory begins, and keeps no entry.
    if byte_length != 0
        && let Some(last) = LAST.get()
        && last.address == address
        && last.removals == REMOVALS.load(Ordering::Acquire)
    {
        // SAFETY: I-FREE-ONCE: memory that is written has one store at a time, and the buffer's hold keeps the entry; it is
        // still the one that was found, since none was removed before that buffer was made. V8's own memory is not remembered.
        return Some(unsafe { Hold::with_raw(last.hold, |hold| store_at(hold, last.hold, address, byte_length)) });
    }
    find_locked(address, byte_length)
}

#[inline]
fn store_at(hold: &Hold, raw: NonNull<c_void>, address: usize, byte_length: usize) -> BackingStore {
    // Empty buffers at the end of a store have the hold as their address: see `buffer::address_of`.
    let end = hold.data().as_ptr().wrapping_add(hold.byte_length());
    let is_end = address == raw.as_ptr().addr();
    hold.store(if is_end { end } else { std::ptr::without_provenance(address) }, byte_length)
}

#[inline(never)]
fn find_locked(address: usize, byte_length: usize) -> Option<BackingStore> {
    let shard = lock(address);
    let entry = shard.as_ref()?.get(&address)?;
    if let Some(held) = &entry.held {
        // A buffer that V8 itself made over this memory has no hold, so that those of others may go at any time.
        if !held.read_only && entry.made_by_engine.is_none() {
            let removals = REMOVALS.load(Ordering::Relaxed);
            LAST.set(Some(Last { address, hold: held.hold, removals }));
        }
        // SAFETY: I-FREE-ONCE: the hold goes after `remove_hold`, which waits for the lock; nothing is resized.
        return Some(unsafe { Hold::with_raw(held.hold, |hold| store_at(hold, held.hold, address, byte_length)) });
    }
    entry.made_by_engine.as_ref()?.upgrade()
}

/// Whether a store was made of this block of V8's, and lives.
pub(crate) fn is_made_by_engine(block: &Block) -> bool {
    let Some(data) = block.data() else { return false };
    let address = data.as_ptr().addr();
    let shard = lock(address);
    let entry = shard.as_ref().and_then(|shard| shard.get(&address));
    let made = entry.and_then(|entry| entry.made_by_engine.as_ref());
    made.is_some_and(|made| std::ptr::eq(&raw const *made.block, &raw const **block))
}

/// V8's own block of the memory of `store`, which may be a part of it, where V8 made it.
pub(crate) fn made_block(store: &BackingStore) -> Option<Block> {
    let address = store.as_ptr().addr() - store.byte_offset();
    let shard = lock(address);
    let made = shard.as_ref()?.get(&address)?.made_by_engine.as_ref()?;
    Some(made.block.clone())
}

/// V8's own block of the memory of `store`, where V8 made it and `store` is all of it.
pub(crate) fn block_of(store: &BackingStore) -> Option<Block> {
    let address = store.as_ptr().addr();
    let shard = lock(address);
    let made = shard.as_ref()?.get(&address)?.made_by_engine.as_ref()?;
    let (there, block) = (made.upgrade()?, made.block.clone());
    // What the weak reference gave may be the last one of another store by now.
    drop(shard);
    // That of the table is to all of it; a part has one length.
    let is_whole = store.byte_offset() == 0 && there.max_byte_length() == store.max_byte_length();
    (there.id() == store.id() && is_whole).then_some(block)
}

/// Notes the store over V8's own memory, by the number of its owner, and the block; or gives the store that is there
/// already.
pub(crate) fn insert_made_by_engine(
    address: usize,
    owner: u64,
    store: &BackingStore,
    block: &Block,
) -> Result<Option<BackingStore>, Error> {
    let mut upgraded = None;
    let inserted = with_entry(address, |entry| {
        upgraded = entry.made_by_engine.as_ref().and_then(MadeByEngine::upgrade);
        let is_there = upgraded.is_some();
        if !is_there {
            entry.made_by_engine = Some(MadeByEngine { owner, store: store.downgrade(), block: block.clone() });
        }
        !is_there
    })?;
    Ok(upgraded.filter(|_| !inserted))
}

/// Takes back what [`insert_made_by_engine`] noted, unless another store of the same memory came meanwhile; before the
/// owner lets go of the memory.
pub(crate) fn remove_made_by_engine(address: usize, owner: u64) {
    let mut shard = lock(address);
    let Some(shard) = shard.as_mut() else { return };
    let Some(entry) = shard.get_mut(&address) else { return };
    if entry.made_by_engine.as_ref().is_some_and(|made| made.owner == owner) {
        entry.made_by_engine = None;
        if entry.is_empty() {
            shard.remove(&address);
        }
    }
}
