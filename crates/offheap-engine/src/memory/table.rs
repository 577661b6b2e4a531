//! Which store is at an address: the stores that an engine has buffers over, in all isolates.
//!
//! An entry is removed before the hold that it points to is dropped. So while its shard is locked, what it points to is
//! alive.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::{Arc, PoisonError};

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{BackingStore, StoreId, WeakStore};
use rustc_hash::FxBuildHasher;

use super::Block;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::{Error, run_finalizer};

/// The stores that one engine has buffers over, by the address of their memory. For adapters: one `static` per engine.
///
/// An engine does not say what is behind a buffer, nor notices that one pointer is given to it twice. The table does both:
/// [`find`](Self::find) gives the store behind a buffer by the buffer's address, and [`expose`](Self::expose) refuses a
/// second owner of memory that script may write.
///
/// `B` is the engine's own block, where native code can refer to one, and otherwise [`NoBlock`](super::NoBlock).
pub struct AddressTable<B> {
    engine: &'static str,
    shards: [Mutex<Shard<B>>; SHARDS],
    /// How many entries lost their last hold on a store. What a thread remembers is true while this stays the same.
    removals: AtomicU64,
}

type Shard<B> = HashMap<usize, Entry<B>, FxBuildHasher>;
const SHARDS: usize = if cfg!(loom) { 1 } else { 64 };

struct Entry<B> {
    /// The holds of buffers over a store: all holds on one store are the same pointer.
    held: Option<Held>,
    /// Those of further stores: read-only memory, such as a `static`, may have several.
    more: Vec<Held>,
    made_by_engine: Option<MadeByEngine<B>>,
}

/// The store over an engine's own block.
struct MadeByEngine<B> {
    /// The number of the store's owner, which keeps the block too: `block` is never the last reference to it.
    owner: u64,
    store: WeakStore,
    block: B,
}

struct Held {
    hold: NonNull<c_void>,
    store: StoreId,
    read_only: bool,
    count: usize,
    /// While holds are counted, the id of the isolate that an unshared store is exposed in stays in use. That may be longer
    /// than the isolate lives.
    isolate: Arc<IsolateRegistration>,
}

// SAFETY: I-OWNER-SEND: a hold is a reference to a store, which may be sent.
unsafe impl Send for Held {}

/// What an engine is given for a buffer over a store, and gives back to [`AddressTable::finalize`].
#[derive(Clone, Copy, Debug)]
#[must_use = "the hold stays until it is finalized"]
pub struct Given {
    /// Where the buffer's memory begins. It is not null.
    pub data: NonNull<c_void>,
    /// The buffer's hold on the store, for the data of the engine's deleter.
    pub hold: NonNull<c_void>,
}

impl<B> Default for Entry<B> {
    fn default() -> Self {
        Entry { held: None, more: Vec::new(), made_by_engine: None }
    }
}

impl<B> Entry<B> {
    fn is_empty(&self) -> bool {
        self.held.is_none() && self.more.is_empty() && self.made_by_engine.is_none()
    }

    fn find_held(&mut self, is_it: impl Fn(&Held) -> bool) -> Option<&mut Held> {
        self.held.iter_mut().chain(&mut self.more).find(|held| is_it(held))
    }
}

/// What [`AddressTable::find`] found last on this thread. Taking the lock again would be a third of the call.
#[derive(Clone, Copy)]
struct Last {
    table: *const (),
    address: usize,
    hold: NonNull<c_void>,
    removals: u64,
}

#[cfg(not(loom))]
thread_local! {
    static LAST: Cell<Option<Last>> = const { Cell::new(None) };
}

#[cfg(loom)]
loom::thread_local! {
    static LAST: Cell<Option<Last>> = Cell::new(None);
}

impl<B: Block> AddressTable<B> {
    /// An empty table for the engine with this name.
    #[cfg(not(loom))]
    pub const fn new(engine: &'static str) -> Self {
        let shards = [const { Mutex::new(HashMap::with_hasher(FxBuildHasher)) }; SHARDS];
        AddressTable { engine, shards, removals: AtomicU64::new(0) }
    }

    /// The name of the engine.
    pub fn engine(&self) -> &'static str {
        self.engine
    }

    fn lock(&self, address: usize) -> MutexGuard<'_, Shard<B>> {
        // Blocks on different pages, and neighbours on one page, are in different shards.
        let shard = (address >> 4 ^ address >> 12) % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_entry<R>(&self, address: usize, change: impl FnOnce(&mut Entry<B>) -> R) -> Result<R, Error> {
        let mut shard = self.lock(address);
        let requested = size_of::<Entry<B>>();
        shard.try_reserve(1).map_err(|_| offheap::Error::OutOfMemory { requested })?;
        let entry = shard.entry(address).or_default();
        let result = change(entry);
        if entry.is_empty() {
            shard.remove(&address);
        }
        Ok(result)
    }

    /// Counts one more buffer over `store` in `isolate`, and returns what the engine makes the buffer of.
    ///
    /// # Errors
    /// Those of [`Hold::new`]; [`Error::AddressTaken`] where another store has memory at this address that script may
    /// write; [`Error::Unsupported`] for a part of memory that grows; [`Error::Memory`] where there is no memory for the
    /// entry.
    #[inline]
    pub fn expose(&self, store: &BackingStore, isolate: &Arc<IsolateRegistration>) -> Result<Given, Error> {
        let exposed = Hold::new(store, isolate.id())?;
        // A handle to a part has no more than its length, whatever its store has. `Hold::store` would take a buffer over
        // the beginning of a store that grows for one over the whole that has not seen it grow yet.
        if store.max_byte_length() != exposed.max_byte_length() && exposed.is_growable() {
            return Err(Error::Unsupported {
                engine: self.engine,
                what: "make a buffer over a part of memory whose length changes",
                instead: "copy the part; such memory is exposed as a whole",
            });
        }
        let is_end = store.byte_length() == 0 && store.byte_offset() == exposed.max_byte_length();
        let hold = exposed.into_raw();
        // One past the end of a store may be where another one begins; the hold's address is nobody's data.
        let data = if is_end { hold } else { NonNull::new(store.as_ptr()).unwrap_or(hold) };
        match self.insert_hold(data.addr().get(), hold, store, isolate) {
            Ok(()) => Ok(Given { data, hold }),
            Err(error) => {
                // SAFETY: I-FREE-ONCE: made above, and neither the table nor an engine has it.
                drop(unsafe { Hold::from_raw(hold) });
                Err(error)
            }
        }
    }

    fn insert_hold(
        &self,
        address: usize,
        hold: NonNull<c_void>,
        store: &BackingStore,
        isolate: &Arc<IsolateRegistration>,
    ) -> Result<(), Error> {
        let (engine, store, read_only) = (self.engine, store.id(), store.kind().is_read_only());
        // A reference that a weak one gave may be the last by now, so it is not dropped under the lock.
        let mut upgraded = None;
        self.with_entry(address, |entry| {
            upgraded = entry.made_by_engine.as_ref().and_then(|made| made.store.upgrade());
            if let Some(other) = upgraded.as_ref().map(BackingStore::id).filter(|&there| there != store) {
                return Err(Error::AddressTaken { engine, store, other });
            }
            if let Some(held) = entry.find_held(|held| held.store == store) {
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
                Some(held) => return Err(Error::AddressTaken { engine, store, other: held.store }),
            }
            Ok(())
        })?
    }

    /// Ends what [`expose`](Self::expose) began, when the engine let go of the buffer: the entry first, and then the hold,
    /// which may drop the owner of the memory. For the engine's deleter, on any thread. Nothing unwinds out of it.
    ///
    /// # Safety
    /// `hold` came from [`expose`](Self::expose) of this table, together with the address `data`, and is finalized once.
    #[inline]
    pub unsafe fn finalize(&self, data: *mut c_void, hold: NonNull<c_void>) {
        run_finalizer(self.engine, || {
            let isolate = self.remove_hold(data.addr(), hold);
            // SAFETY: I-FREE-ONCE: the hold that `expose` made into a pointer; the caller's promise.
            drop(unsafe { Hold::from_raw(hold) });
            drop(isolate);
        });
    }

    /// The result is dropped after the hold.
    fn remove_hold(&self, address: usize, hold: NonNull<c_void>) -> Option<Arc<IsolateRegistration>> {
        const NOTED: &str = "made by `expose`";
        let mut shard = self.lock(address);
        let MapEntry::Occupied(mut occupied) = shard.entry(address) else { panic!("{NOTED}") };
        let entry = occupied.get_mut();
        let held = entry.find_held(|held| held.hold == hold).expect(NOTED);
        held.count -= 1;
        if held.count != 0 {
            // The others may go before this one's hold does, on another thread, and the isolate be gone.
            return Some(Arc::clone(&held.isolate));
        }
        self.removals.fetch_add(1, Ordering::Release);
        let gone = match &entry.held {
            Some(held) if held.hold == hold => std::mem::replace(&mut entry.held, entry.more.pop()),
            _ => entry.more.iter().position(|held| held.hold == hold).map(|index| entry.more.swap_remove(index)),
        };
        if entry.is_empty() {
            occupied.remove();
        }
        gone.map(|held| held.isolate)
    }

    /// The store of the `byte_length` bytes at an address that a live buffer has; `None` where it is over other memory.
    ///
    /// # Panics
    /// If the bytes do not lie in the store that is at the address.
    ///
    /// # Safety
    /// Unless `byte_length` is 0, a buffer of this engine with these bytes lives, and the engine does not let go of it during
    /// the call.
    #[inline]
    pub unsafe fn find(&self, address: usize, byte_length: usize) -> Option<BackingStore> {
        // An empty buffer of a program's own block may end where a store begins, and keeps no entry.
        if byte_length != 0
            && let Some(last) = LAST.with(Cell::get)
            && last.address == address
            && last.table == ptr::from_ref(self).cast()
            && last.removals == self.removals.load(Ordering::Acquire)
        {
            // SAFETY: I-FREE-ONCE: memory that is written has one store at a time, and the buffer's hold keeps the entry; it is
            // still the one that was found, since none was removed before that buffer was made. An engine's own memory is not
            // remembered.
            return Some(unsafe { Hold::with_raw(last.hold, |hold| store_at(hold, last.hold, address, byte_length)) });
        }
        self.look_up(address, byte_length)
    }

    /// The store of the `byte_length` bytes at an address, whether a buffer has them or not.
    ///
    /// # Panics
    /// If the bytes do not lie in the store that is at the address.
    #[inline(never)]
    pub fn look_up(&self, address: usize, byte_length: usize) -> Option<BackingStore> {
        let shard = self.lock(address);
        let entry = shard.get(&address)?;
        if let Some(held) = &entry.held {
            // A buffer that the engine itself made over this memory has no hold, so that those of others may go at any time.
            if !held.read_only && entry.made_by_engine.is_none() {
                let (table, removals) = (ptr::from_ref(self).cast(), self.removals.load(Ordering::Relaxed));
                LAST.with(|last| last.set(Some(Last { table, address, hold: held.hold, removals })));
            }
            // SAFETY: I-FREE-ONCE: the hold is dropped after `remove_hold`, which waits for the lock; nothing is resized.
            return Some(unsafe { Hold::with_raw(held.hold, |hold| store_at(hold, held.hold, address, byte_length)) });
        }
        entry.made_by_engine.as_ref()?.store.upgrade()
    }

    /// Whether a store was made of this block of the engine's, and lives.
    pub fn is_made_by_engine(&self, block: &B) -> bool {
        let Some(data) = block.data() else { return false };
        let address = data.addr().get();
        let shard = self.lock(address);
        let entry = shard.get(&address);
        let made = entry.and_then(|entry| entry.made_by_engine.as_ref());
        made.is_some_and(|made| made.block.id() == block.id())
    }

    /// The engine's own block of the memory of `store`, which may be a part of it; `None` where Rust made the memory.
    pub fn made_block(&self, store: &BackingStore) -> Option<B> {
        let address = store.as_ptr().addr() - store.byte_offset();
        let shard = self.lock(address);
        let made = shard.get(&address)?.made_by_engine.as_ref()?;
        Some(made.block.clone())
    }

    /// The engine's own block, where `store` is all of its memory.
    pub fn block_of(&self, store: &BackingStore) -> Option<B> {
        let address = store.as_ptr().addr();
        let shard = self.lock(address);
        let made = shard.get(&address)?.made_by_engine.as_ref()?;
        let (there, block) = (made.store.upgrade()?, made.block.clone());
        // What the weak reference gave may be the last one of another store by now.
        drop(shard);
        // The table's reference is to the whole store; a part has one length.
        let is_whole = store.byte_offset() == 0 && there.max_byte_length() == store.max_byte_length();
        (there.id() == store.id() && is_whole).then_some(block)
    }

    /// Notes the store over an engine's own block, by the number of its owner; or returns the store that is there already.
    pub(super) fn insert_made_by_engine(
        &self,
        address: usize,
        owner: u64,
        store: &BackingStore,
        block: &B,
    ) -> Result<Option<BackingStore>, Error> {
        let mut upgraded = None;
        let inserted = self.with_entry(address, |entry| {
            upgraded = entry.made_by_engine.as_ref().and_then(|made| made.store.upgrade());
            let is_there = upgraded.is_some();
            if !is_there {
                entry.made_by_engine = Some(MadeByEngine { owner, store: store.downgrade(), block: block.clone() });
            }
            !is_there
        })?;
        Ok(upgraded.filter(|_| !inserted))
    }

    /// Takes back what [`insert_made_by_engine`](Self::insert_made_by_engine) noted, unless the entry is that of another
    /// store of the same memory by now; before the owner lets go of the block.
    pub(super) fn remove_made_by_engine(&self, address: usize, owner: u64) {
        let mut shard = self.lock(address);
        let Some(entry) = shard.get_mut(&address) else { return };
        if entry.made_by_engine.as_ref().is_some_and(|made| made.owner == owner) {
            entry.made_by_engine = None;
            if entry.is_empty() {
                shard.remove(&address);
            }
        }
    }
}

#[inline]
fn store_at(hold: &Hold, raw: NonNull<c_void>, address: usize, byte_length: usize) -> BackingStore {
    // Empty buffers at the end of a store have the hold as their address: see `expose`.
    let end = hold.data().as_ptr().wrapping_add(hold.byte_length());
    let is_end = address == raw.as_ptr().addr();
    hold.store(if is_end { end } else { ptr::without_provenance(address) }, byte_length)
}

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests;
