use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use offheap::{FrozenStore, SharedStore, UniqueStore};

use super::super::fake::{ENGINE, FakeBlock, isolate};
use super::super::{Adopted, BlockUse, NoBlock};
use super::*;

fn store(byte_length: usize) -> BackingStore {
    UniqueStore::zeroed(byte_length).unwrap().into()
}

/// A buffer of an engine. The engine drops it when this value is dropped.
struct Buffer {
    table: &'static AddressTable<FakeBlock>,
    given: Given,
    byte_length: usize,
}

// SAFETY: I-OWNER-SEND: an engine may drop a buffer on any thread.
unsafe impl Send for Buffer {}

impl Buffer {
    fn new(
        table: &'static AddressTable<FakeBlock>,
        store: &BackingStore,
        isolate: &Arc<IsolateRegistration>,
    ) -> Result<Self, Error> {
        let given = table.expose(store, isolate)?;
        Ok(Buffer { table, given, byte_length: store.byte_length() })
    }

    fn store(&self) -> Option<BackingStore> {
        // SAFETY: I-FREE-ONCE: `self` is the live buffer.
        unsafe { self.table.find(self.given.data.addr().get(), self.byte_length) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: I-FREE-ONCE: the table returned these pointers, and they are passed back once.
        unsafe { self.table.finalize(self.given.data.as_ptr(), self.given.hold) };
    }
}

#[test]
fn the_store_behind_a_buffer_is_found_until_the_buffer_goes() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    let (isolate, store) = (isolate(), store(64));
    let buffer = Buffer::new(&TABLE, &store, &isolate).unwrap();
    let again = Buffer::new(&TABLE, &store, &isolate).unwrap();
    for _ in 0..2 {
        assert_eq!(buffer.store().unwrap(), store);
    }
    assert_eq!(store.exposure(), Some((isolate.id(), 2)));
    drop(buffer);
    assert_eq!((again.store().unwrap(), store.exposure()), (store.clone(), Some((isolate.id(), 1))));
    let address = again.given.data.addr().get();
    drop(again);
    assert_eq!((store.exposure(), TABLE.look_up(address, 64)), (None, None));
    assert!(TABLE.shards.iter().all(|shard| shard.lock().held.is_empty()));
    assert!((0..PLACES << 12).step_by(8).all(|address| TABLE.occupied.is_empty_at(Location::of(address))));
}

#[test]
fn an_engine_without_blocks_has_a_table_too() {
    static TABLE: AddressTable<NoBlock> = AddressTable::new(|| ENGINE);
    let (isolate, store) = (isolate(), store(64));
    let Given { data, hold } = TABLE.expose(&store, &isolate).unwrap();
    // SAFETY: I-FREE-ONCE: the buffer was made just now and is alive.
    let found = unsafe { TABLE.find(data.addr().get(), 64) };
    assert_eq!((found.unwrap(), TABLE.made_block(&store).is_none()), (store.clone(), true));
    // SAFETY: I-FREE-ONCE: the table returned these pointers, and they are passed back once.
    unsafe { TABLE.finalize(data.as_ptr(), hold) };
    assert_eq!(store.exposure(), None);
}

#[test]
fn a_second_owner_of_written_memory_is_refused_and_counts_no_buffer() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    let (isolate, store) = (isolate(), store(64));
    let keeps = store.clone();
    // SAFETY: I-MAPPED: the deleter keeps the memory alive; no code writes through either store.
    let twin = unsafe { UniqueStore::from_raw_parts(store.as_ptr().cast(), 64, move |_, _| drop(keeps)) };
    let twin = BackingStore::from(twin.unwrap());
    let buffer = Buffer::new(&TABLE, &store, &isolate).unwrap();
    let refused = Buffer::new(&TABLE, &twin, &isolate).err();
    assert!(
        matches!(refused, Some(Error::AddressTaken { store: refused, other, .. }) if (refused, other) == (twin.id(), store.id()))
    );
    assert_eq!((twin.exposure(), twin.reference_count()), (None, 1));
    drop(buffer);
    let buffer = Buffer::new(&TABLE, &twin, &isolate).unwrap();
    assert_eq!(buffer.store().unwrap(), twin);
}

#[test]
fn read_only_memory_may_have_several_owners_and_each_buffer_takes_its_own_away() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    static BYTES: [u8; 64] = [7; 64];
    let isolate = isolate();
    let stores: Vec<BackingStore> = (0..3).map(|_| FrozenStore::from_owner(&BYTES[..]).unwrap().into()).collect();
    let mut buffers: Vec<Buffer> = stores.iter().map(|store| Buffer::new(&TABLE, store, &isolate).unwrap()).collect();
    // The middle one, the first one, the last one.
    for (index, left) in [(1, 2), (0, 1), (0, 0)] {
        drop(buffers.remove(index));
        assert_eq!(stores.iter().filter(|store| store.reference_count() == 2).count(), left);
        assert_eq!(TABLE.look_up(BYTES.as_ptr().addr(), 64).is_some(), left != 0);
    }
}

#[test]
fn neighbours_parts_and_empty_ends_are_told_apart() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    let (isolate, whole) = (isolate(), store(64));
    let parts = [0..64, 0..8, 8..16, 8..64, 16..16, 64..64, 0..0].map(|range| whole.slice(range).unwrap());
    let buffers = parts.each_ref().map(|part| Buffer::new(&TABLE, part, &isolate).unwrap());
    for (part, buffer) in parts.iter().zip(&buffers) {
        assert_eq!(buffer.store().unwrap(), *part);
    }
    // The end of a store is not found at its address, which may be the beginning of another store.
    assert_eq!(TABLE.look_up(whole.as_ptr().addr() + 64, 0), None);
}

#[test]
fn a_part_of_memory_that_grows_is_refused() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    let (isolate, growable) = (isolate(), SharedStore::growable(64, 128).unwrap());
    let part = growable.as_store().slice(0..64).unwrap();
    assert!(matches!(Buffer::new(&TABLE, &part, &isolate), Err(Error::Unsupported { engine: ENGINE, .. })));
    let buffer = Buffer::new(&TABLE, growable.as_store(), &isolate).unwrap();
    assert_eq!(buffer.store().unwrap(), *growable.as_store());
}

#[test]
fn a_remembered_entry_is_not_used_after_its_removal() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    let isolate = isolate();
    // Several owners of one address, one after the other, as an allocator may produce them.
    let memory = store(64);
    let owner = || {
        let keeps = memory.clone();
        // SAFETY: I-MAPPED: the deleter keeps the memory alive; no code writes it.
        let owner = unsafe { UniqueStore::from_raw_parts(memory.as_ptr().cast(), 64, move |_, _| drop(keeps)) };
        BackingStore::from(owner.unwrap())
    };
    // The stores are kept alive, so no store gets the control block address of an earlier one.
    let stores = [0; 3].map(|_| owner());
    for store in &stores {
        let buffer = Buffer::new(&TABLE, store, &isolate).unwrap();
        assert_eq!((buffer.store().unwrap(), buffer.store().unwrap()), (store.clone(), store.clone()));
        // Another thread drops the buffer, as a collector would.
        std::thread::spawn(move || drop(buffer)).join().unwrap();
    }
}

/// A store over the engine's own block at this address.
fn adopt(table: &'static AddressTable<FakeBlock>, data: NonNull<c_void>, host: &IsolateRegistration) -> BackingStore {
    let (block, usage) = (FakeBlock::new(64, 64), BlockUse::Fixed);
    let adopted = Adopted { block, data, byte_length: 64, max_byte_length: None, usage };
    // SAFETY: I-MAPPED: the tests keep the bytes, and nobody writes them.
    unsafe { table.adopt(adopted, host.id()) }.unwrap().0
}

#[test]
fn an_entry_beside_the_engine_s_own_memory_is_not_remembered() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    let (isolate, host) = (isolate(), IsolateRegistration::host(ENGINE).unwrap());
    let is_remembered = |buffer: &Buffer| {
        assert!(buffer.store().is_some() && buffer.store().is_some());
        let address = buffer.given.data.addr().get();
        TABLE.shard(address).1.get(address).is_some()
    };
    let memory = store(64);
    let buffer = Buffer::new(&TABLE, &memory, &isolate).unwrap();
    assert!(is_remembered(&buffer));
    // The engine's own memory comes after the buffer's entry, and then before it.
    let own = adopt(&TABLE, buffer.given.data, &host);
    assert!(!is_remembered(&buffer));
    drop((own, buffer));
    let own = adopt(&TABLE, NonNull::new(memory.as_ptr().cast()).unwrap(), &host);
    assert!(matches!(Buffer::new(&TABLE, &memory, &isolate), Err(Error::AddressTaken { .. })));
    let weak = own.downgrade();
    drop(own);
    assert_eq!(weak.upgrade(), None);
    assert!(is_remembered(&Buffer::new(&TABLE, &memory, &isolate).unwrap()));
}

#[test]
fn a_remembered_entry_belongs_to_one_table() {
    static FIRST: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    static SECOND: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    let (isolate, shared) = (isolate(), SharedStore::zeroed(64).unwrap());
    let buffer = Buffer::new(&FIRST, shared.as_store(), &isolate).unwrap();
    assert!(buffer.store().is_some());
    let address = buffer.given.data.addr().get();
    // SAFETY: I-FREE-ONCE: the buffer is alive; it belongs to another engine.
    assert_eq!(unsafe { SECOND.find(address, 64) }, None);
}

#[test]
fn no_lock_is_held_while_an_owner_is_dropped() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    static FOUND: AtomicUsize = AtomicUsize::new(0);
    let isolate = isolate();
    let memory = store(64);
    let (address, keeps) = (memory.as_ptr().addr(), memory.clone());
    let asks = move |_, _| {
        // This waits forever if the shard is locked.
        FOUND.store(1 + usize::from(TABLE.look_up(address, 64).is_some()), Ordering::SeqCst);
        drop(keeps);
    };
    // SAFETY: I-MAPPED: the deleter keeps the memory alive; no code writes it.
    let owner = unsafe { UniqueStore::from_raw_parts(memory.as_ptr().cast(), 64, asks) };
    let buffer = Buffer::new(&TABLE, &owner.unwrap().into(), &isolate).unwrap();
    drop(buffer);
    assert_eq!(FOUND.load(Ordering::SeqCst), 1, "the entry went before the owner");
}

#[test]
fn the_id_of_an_isolate_stays_in_use_while_its_holds_are_counted() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    let (isolate, store) = (isolate(), store(64));
    let weak = Arc::downgrade(&isolate);
    let buffers = [0; 2].map(|_| Buffer::new(&TABLE, &store, &isolate).unwrap());
    drop(isolate);
    let [first, second] = buffers;
    drop(first);
    assert!(weak.upgrade().is_some());
    drop(second);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_hold_that_is_not_the_last_keeps_the_id_of_its_isolate_until_it_is_dropped() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    let (isolate, store) = (isolate(), store(64));
    let weak = Arc::downgrade(&isolate);
    let given = [0; 2].map(|_| TABLE.expose(&store, &isolate).unwrap());
    drop(isolate);
    // Two threads drop their buffers: the second is done before the first drops its hold.
    let [first, second] = given.map(|Given { data, hold }| (TABLE.remove_hold(data.addr().get(), hold).1, hold));
    for (registration, hold) in [second, first] {
        assert!(weak.upgrade().is_some());
        // SAFETY: I-FREE-ONCE: the table returned this pointer, it is passed back once, and its entry is gone.
        drop(unsafe { Hold::from_raw(hold) });
        drop(registration);
    }
    assert!(weak.upgrade().is_none());
}

#[test]
fn threads_expose_find_and_let_go_at_the_same_time() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (sender, receiver) = mpsc::channel::<Buffer>();
            scope.spawn(move || {
                let isolate = isolate();
                for _ in 0..300 {
                    let store = store(64);
                    let buffer = Buffer::new(&TABLE, &store, &isolate).unwrap();
                    assert_eq!((buffer.store().unwrap(), buffer.store().unwrap()), (store.clone(), store));
                    sender.send(buffer).unwrap();
                }
            });
            // This thread acts as a collector.
            scope.spawn(move || receiver.into_iter().for_each(drop));
        }
    });
    assert!(TABLE.shards.iter().all(|shard| shard.lock().held.is_empty()));
    assert!((0..PLACES << 12).step_by(8).all(|address| TABLE.occupied.is_empty_at(Location::of(address))));
}

#[test]
fn a_buffer_without_a_store_is_told_apart_without_a_lock() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| ENGINE);
    let memory = store(64);
    let address = memory.as_ptr().addr();
    let locked = TABLE.lock(address);
    // SAFETY: I-FREE-ONCE: `memory` keeps the bytes. This waits forever if it needs the lock.
    assert_eq!(unsafe { TABLE.find(address, 64) }, None);
    drop(locked);
}

#[test]
fn the_addresses_of_a_page_are_in_one_shard_at_different_places() {
    let page = store(1 << 13).as_ptr().addr().next_multiple_of(1 << 12);
    let locations: Vec<_> = (0..256).map(|index| Location::of(page + index * 16)).collect();
    assert!(locations.iter().all(|it| it.shard == locations[0].shard));
    let places: std::collections::HashSet<_> = locations.iter().map(|it| it.place).collect();
    assert_eq!(places.len(), PLACES);
    // Large blocks begin at one place of their page.
    let large: std::collections::HashSet<_> = (0..1000).map(|index| Location::of((index << 20) + 16)).collect();
    assert!(large.len() > 900, "{}", large.len());
}
