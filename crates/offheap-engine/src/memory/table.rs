//! The table of stores by address: all stores that an engine has buffers over, in all isolates.
//!
//! An entry is removed before the hold that it points to is dropped. So while its shard is locked, the hold is
//! alive.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::{Arc, PoisonError};

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{BackingStore, IsolateId, StoreId};
use rustc_hash::FxBuildHasher;

use super::Block;
use crate::Error;
use crate::finalizer::run_finalizer_of;
use crate::sync::{Mutex, MutexGuard};
use entry::{Entry, Held};
pub(in crate::memory) use made::{BlockOfOwner, OwnerNumber};
use made::{MadeByEngine, MadeStores};
use occupied::Occupied;
use remembered::Place;

/// The stores that one engine has buffers over, by the address of their memory. For adapters: one `static` per
/// engine.
///
/// An engine does not say which store is behind a buffer, and does not notice when it gets one pointer twice. The
/// table does both: [`find`](Self::find) returns the store at a buffer's address, and [`expose`](Self::expose)
/// refuses a second owner of memory that script may write.
///
/// `B` is the engine's own block if native code can refer to one, or else [`NoBlock`](super::NoBlock).
pub struct AddressTable<B> {
    engine: fn() -> &'static str,
    shards: [Shard<B>; SHARDS],
    /// In an array of their own: a page of the system's has the slots of two shards.
    places: [[Place; PLACES]; SHARDS],
    occupied: Occupied,
}

/// Where the entry of an address is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Location {
    shard: usize,
    place: usize,
}

impl Location {
    /// Addresses of one page of the system's are in one shard, and mostly at places of their own. A program uses buffers
    /// that it made one after the other, so what one of them brings into the caches serves the next ones.
    #[inline]
    fn of(address: usize) -> Self {
        // Fibonacci hashing: the upper bits of the product depend on all bits of the page.
        let hash = ((address as u64 >> 12).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        // `malloc` gives multiples of 16. Large blocks begin pages, so the page decides too.
        Location { shard: hash % SHARDS, place: (address >> 4).wrapping_add(hash / SHARDS) % PLACES }
    }
}

/// The entries of some addresses. Each shard has its own cache lines, since threads use different shards at the same time.
#[repr(align(128))]
struct Shard<B>(Mutex<Entries<B>>);

struct Entries<B> {
    held: HashMap<usize, Entry, FxBuildHasher>,
    made: MadeStores<B>,
}

const SHARDS: usize = if cfg!(loom) { 1 } else { 64 };
/// In each shard. Two buffers whose addresses have one place are found under the lock by turns. In all shards there are
/// enough for a thousand buffers: one in sixteen of them shares its place.
const PLACES: usize = if cfg!(loom) { 1 } else { 256 };

/// The two pointers that an engine gets for a buffer over a store, and gives back to [`AddressTable::finalize`].
#[derive(Clone, Copy, Debug)]
#[must_use = "the hold stays until it is finalized"]
pub struct Given {
    /// The address of the buffer's first byte. It is not null.
    pub data: NonNull<c_void>,
    /// The buffer's hold on the store, to be passed as the data of the engine's deleter.
    pub hold: NonNull<c_void>,
}

impl<B: Block> AddressTable<B> {
    /// An empty table. `engine` gives the name of the engine, for errors.
    #[cfg(not(loom))]
    pub const fn new(engine: fn() -> &'static str) -> Self {
        AddressTable {
            engine,
            shards: [const { Shard::new() }; SHARDS],
            places: [const { [const { Place::empty() }; PLACES] }; SHARDS],
            occupied: Occupied::new(),
        }
    }

    /// The name of the engine.
    pub fn engine(&self) -> &'static str {
        (self.engine)()
    }

    /// The shard of an address, and its place there.
    #[inline]
    fn shard(&self, address: usize) -> (&Shard<B>, &Place) {
        let Location { shard, place } = Location::of(address);
        (&self.shards[shard], &self.places[shard][place])
    }

    fn lock(&self, address: usize) -> MutexGuard<'_, Entries<B>> {
        self.shard(address).0.lock()
    }

    /// Changes the holds at an address, where there may be a store over an engine's own block.
    fn with_entry<R>(
        &self,
        address: usize,
        change: impl FnOnce(&mut Entry, Option<&MadeByEngine<B>>) -> R,
    ) -> Result<R, Error> {
        let location = Location::of(address);
        let mut entries = self.lock(address);
        let Entries { held, made } = &mut *entries;
        let made = if self.occupied.is_empty_at(location) { None } else { made.get(address, location.place) };
        let requested = size_of::<Entry>();
        held.try_reserve(1).map_err(|_| offheap::Error::OutOfMemory { requested })?;
        let entry = match held.entry(address) {
            MapEntry::Occupied(occupied) => occupied.into_mut(),
            MapEntry::Vacant(vacant) => {
                self.occupied.add(location);
                vacant.insert(Entry::default())
            }
        };
        let result = change(entry, made);
        if entry.is_empty() {
            held.remove(&address);
            self.occupied.remove(location);
        }
        Ok(result)
    }

    /// The addresses at which the buffers begin that [`expose`](Self::expose) counted over this store: several if parts of it
    /// are exposed. It looks through the whole table.
    pub fn addresses_of(&self, store: StoreId) -> Vec<usize> {
        let mut addresses = Vec::new();
        for shard in &self.shards {
            let mut entries = shard.lock();
            let of_store = entries
                .held
                .iter_mut()
                .filter_map(|(address, entry)| entry.find_held(|held| held.store == store).map(|_| *address));
            addresses.extend(of_store);
        }
        addresses
    }

    /// Counts one more buffer over `store` in `isolate`, and returns the pointers from which the engine makes the
    /// buffer. The registration of a host is kept by its adapter as long as the process lives.
    ///
    /// # Errors
    /// Those of [`Hold::new`]; [`Error::AddressTaken`] if another store has memory at this address that script may
    /// write; [`Error::Unsupported`] for a part of memory that grows; [`Error::Memory`] if there is no memory for
    /// the entry.
    #[inline]
    pub fn expose(&self, store: &BackingStore, isolate: &Arc<IsolateRegistration>) -> Result<Given, Error> {
        let exposed = Hold::new(store, isolate.id())?;
        // A handle to a part never grows beyond its length, even if its store grows. `Hold::store` could not tell a
        // buffer over the beginning of a growing store from a buffer over the whole store that has not seen it grow
        // yet.
        if store.max_byte_length() != exposed.max_byte_length() && exposed.is_growable() {
            return Err(Error::Unsupported {
                engine: self.engine(),
                what: "make a buffer over a part of memory whose length changes",
                instead: "copy the part; such memory is exposed as a whole",
            });
        }
        let is_end = store.byte_length() == 0 && store.byte_offset() == exposed.max_byte_length();
        let hold = exposed.into_raw();
        // The end of a store may be the address of another store, so use the hold's address, at which there is no
        // data.
        let data = if is_end { hold } else { NonNull::new(store.as_ptr()).unwrap_or(hold) };
        match self.insert_hold(data.addr().get(), hold, store, isolate) {
            Ok(()) => Ok(Given { data, hold }),
            Err(error) => {
                // SAFETY: I-FREE-ONCE: `into_raw` made it above, and neither the table nor an engine has it.
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
        let (engine, store, read_only) = (self.engine(), store.id(), store.kind().is_read_only());
        // Upgrading a weak reference may leave us with the last reference, so it must not be dropped under the
        // lock.
        let mut upgraded = None;
        self.with_entry(address, |entry, made| {
            upgraded = made.and_then(|made| made.store.upgrade());
            if let Some(other) = upgraded.as_ref().map(BackingStore::id).filter(|&there| there != store) {
                return Err(Error::AddressTaken { engine, store, other });
            }
            if let Some(held) = entry.find_held(|held| held.store == store) {
                held.count += 1;
                held.is_only_isolate &= held.isolate == isolate.id();
                return Ok(());
            }
            let id = isolate.id();
            let registration = (!id.is_host()).then(|| Arc::clone(isolate));
            let new = Held {
                hold,
                store,
                count: 1,
                isolate: id,
                registration,
                read_only,
                is_only_isolate: true,
                is_of_engine: made.is_some(),
                was_remembered: false,
            };
            match &entry.held {
                None => entry.held = Some(new),
                Some(held) if held.read_only && read_only => {
                    let requested = size_of::<Held>();
                    let more = entry.more.get_or_insert_default();
                    more.try_reserve(1).map_err(|_| offheap::Error::OutOfMemory { requested })?;
                    more.push(new);
                }
                Some(held) => return Err(Error::AddressTaken { engine, store, other: held.store }),
            }
            Ok(())
        })?
    }

    /// Ends the hold that [`expose`](Self::expose) made, after the engine dropped the buffer. Removes the entry
    /// first and then drops the hold, which may drop the owner of the memory. For the engine's deleter, on any
    /// thread. It never unwinds.
    ///
    /// # Safety
    /// `hold` and `data` came from one call of [`expose`](Self::expose) on this table, and `hold` is finalized
    /// once.
    #[inline]
    pub unsafe fn finalize(&self, data: *mut c_void, hold: NonNull<c_void>) {
        run_finalizer_of(self.engine, || {
            let (isolate, registration) = self.remove_hold(data.addr(), hold);
            // SAFETY: I-FREE-ONCE: `expose` made the hold into this pointer; the caller promises to pass it once.
            let hold = unsafe { Hold::from_raw(hold) };
            hold.release(|| isolate);
            drop(registration);
        });
    }

    /// Removes a hold from its entry. Returns the isolate, if all holds on the store were in this one, and what keeps its id,
    /// which the caller drops after the hold.
    fn remove_hold(
        &self,
        address: usize,
        hold: NonNull<c_void>,
    ) -> (Option<IsolateId>, Option<Arc<IsolateRegistration>>) {
        const NOTED: &str = "made by `expose`";
        let (shard, place) = self.shard(address);
        let mut entries = shard.lock();
        let MapEntry::Occupied(mut occupied) = entries.held.entry(address) else { panic!("{NOTED}") };
        let entry = occupied.get_mut();
        let held = entry.find_held(|held| held.hold == hold).expect(NOTED);
        held.count -= 1;
        let isolate = Some(held.isolate).filter(|_| held.is_only_isolate);
        if held.count != 0 {
            // Another thread may remove the other holds before this hold is dropped, and the isolate may end.
            return (isolate, held.registration.clone());
        }
        if held.was_remembered {
            place.forget(address);
        }
        let gone = entry.remove_held(hold);
        if entry.is_empty() {
            occupied.remove();
            self.occupied.remove(Location::of(address));
        }
        (isolate, gone.and_then(|held| held.registration))
    }

    /// The store of a live buffer with `byte_length` bytes at this address, or `None` if the buffer is over other
    /// memory.
    ///
    /// # Panics
    /// If the bytes do not lie in the store that is at the address.
    ///
    /// # Safety
    /// Unless `byte_length` is 0, a live buffer of this engine has these bytes, and the engine does not drop it
    /// during the call.
    #[inline]
    pub unsafe fn find(&self, address: usize, byte_length: usize) -> Option<BackingStore> {
        // The entry of a store that the buffer is over was made before the buffer, and stays at least as long.
        let location = Location::of(address);
        if self.occupied.is_empty_at(location) {
            // An adapter mostly makes a store of the buffer's block next.
            self.shards[location.shard].fetch_slot(location.place);
            return None;
        }
        // An empty buffer over a program's own block may end where a store begins, and it keeps no entry alive.
        if byte_length != 0
            && let Some(hold) = self.shard(address).1.get(address)
        {
            // SAFETY: I-FREE-ONCE: memory that is written has one store at a time, and the buffer's hold keeps the
            // entry alive. An earlier entry of this address was forgotten before that buffer was made. Entries of an
            // engine's own memory are not remembered.
            return Some(unsafe { Hold::with_raw(hold, |it| store_at(it, hold, address, byte_length)) });
        }
        self.look_up(address, byte_length)
    }

    /// The store of the `byte_length` bytes at this address, even if no buffer has them.
    ///
    /// # Panics
    /// If the bytes do not lie in the store that is at the address.
    #[inline(never)]
    pub fn look_up(&self, address: usize, byte_length: usize) -> Option<BackingStore> {
        let (shard, place) = self.shard(address);
        let mut entries = shard.lock();
        if let Some(held) = entries.held.get_mut(&address).and_then(|entry| entry.held.as_mut()) {
            // A buffer that the engine itself made over this memory has no hold, so the holds of other buffers may
            // be dropped at any time. Such entries are not remembered.
            if !held.read_only && !held.is_of_engine {
                held.was_remembered = true;
                place.remember(address, held.hold);
            }
            // SAFETY: I-FREE-ONCE: a hold is dropped after `remove_hold`, which waits for the lock; the store is
            // not resized here.
            return Some(unsafe { Hold::with_raw(held.hold, |hold| store_at(hold, held.hold, address, byte_length)) });
        }
        entries.made.get(address, Location::of(address).place)?.store.upgrade()
    }
}

impl<B> Entries<B> {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Entries { held: HashMap::with_hasher(FxBuildHasher), made: MadeStores::new() }
    }

    #[cfg(loom)]
    fn new() -> Self {
        Entries { held: HashMap::default(), made: MadeStores::new() }
    }
}

impl<B> Shard<B> {
    #[cfg(not(loom))]
    const fn new() -> Self {
        Shard(Mutex::new(Entries::new()))
    }

    /// Tells the processor that the slot of a place will soon be written, since no cache has most of them.
    #[inline]
    fn fetch_slot(&self, place: usize) {
        // What a mutex guards is at its end.
        let before_entries = size_of::<Mutex<Entries<B>>>() - size_of::<Entries<B>>();
        let offset = before_entries + std::mem::offset_of!(Entries<B>, made) + MadeStores::<B>::offset_of_slot(place);
        let slot = (&raw const self.0).wrapping_byte_add(offset);
        #[cfg(all(target_arch = "x86_64", not(any(miri, loom))))]
        // SAFETY: I-LAYOUT: a hint may have any address. Nothing is accessed.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(slot.cast());
        }
        #[cfg(not(all(target_arch = "x86_64", not(any(miri, loom)))))]
        let _ = slot;
    }

    fn lock(&self) -> MutexGuard<'_, Entries<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[inline]
fn store_at(hold: &Hold, raw: NonNull<c_void>, address: usize, byte_length: usize) -> BackingStore {
    // An empty buffer at the end of a store has the hold's address: see `expose`.
    let end = hold.data().as_ptr().wrapping_add(hold.byte_length());
    let is_end = address == raw.as_ptr().addr();
    hold.store(if is_end { end } else { ptr::without_provenance(address) }, byte_length)
}

mod entry;
mod made;
mod made_by_engine;
mod occupied;
mod remembered;

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests;
