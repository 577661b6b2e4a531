//! Models of the entries that a table remembers. Loom runs them in every order that the memory model allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p offheap-engine --lib --release`
//!
//! A use of a hold after its drop is a use of its control block, which loom checks (`offheap`: `src/sync.rs`).

use loom::sync::Arc as LoomArc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use offheap::UniqueStore;

use super::super::NoBlock;
use super::*;

type Table = AddressTable<NoBlock>;

fn table() -> LoomArc<Table> {
    let shards = std::array::from_fn(|_| Shard(Mutex::new(Entries::new())));
    let places = std::array::from_fn(|_| std::array::from_fn(|_| Place::empty()));
    LoomArc::new(AddressTable { engine: || "Model", shards, places, occupied: Occupied::new() })
}

fn isolate() -> Arc<IsolateRegistration> {
    Arc::new(IsolateRegistration::new("Model").unwrap())
}

/// A store over the bytes at `place`. `freed` becomes true when the address may be reused.
fn store(place: &'static [u8; 8], freed: &LoomArc<AtomicBool>) -> BackingStore {
    let freed = LoomArc::clone(freed);
    let free = move |_, _| freed.store(true, Ordering::Release);
    // SAFETY: I-MAPPED: a static that no code writes.
    unsafe { UniqueStore::from_raw_parts(place.as_ptr().cast_mut(), place.len(), free) }.unwrap().into()
}

/// A buffer that an engine may pass from thread to thread.
struct Buffer(LoomArc<Table>, Given);

// SAFETY: I-OWNER-SEND: an engine may drop a buffer on any thread.
unsafe impl Send for Buffer {}

impl Buffer {
    fn new(table: &LoomArc<Table>, store: &BackingStore, isolate: &Arc<IsolateRegistration>) -> Self {
        Buffer(LoomArc::clone(table), table.expose(store, isolate).unwrap())
    }

    fn store(&self) -> BackingStore {
        // SAFETY: I-FREE-ONCE: `self` is the live buffer.
        unsafe { self.0.find(self.1.data.addr().get(), 8) }.unwrap()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: I-FREE-ONCE: the table returned these pointers, and they are passed back once.
        unsafe { self.0.finalize(self.1.data.as_ptr(), self.1.hold) };
    }
}

#[test]
fn table_a_remembered_entry_is_not_used_once_its_memory_is_reused() {
    static PLACE: [u8; 8] = [0; 8];
    loom::model(|| {
        let (table, isolate, freed) = (table(), isolate(), LoomArc::new(AtomicBool::new(false)));
        let before = Buffer::new(&table, &store(&PLACE, &freed), &isolate);
        // The table remembers the entry from here on.
        drop(before.store());
        let collector = thread::spawn(move || drop(before));
        if freed.load(Ordering::Acquire) {
            let store = store(&PLACE, &freed);
            let buffer = Buffer::new(&table, &store, &isolate);
            assert_eq!((buffer.store(), buffer.store()), (store.clone(), store));
        }
        collector.join().unwrap();
    });
}

#[test]
fn table_a_buffer_is_found_while_another_one_over_its_store_goes() {
    static PLACE: [u8; 8] = [0; 8];
    loom::model(|| {
        let (table, isolate, freed) = (table(), isolate(), LoomArc::new(AtomicBool::new(false)));
        let store = store(&PLACE, &freed);
        let [buffer, other] = [0; 2].map(|_| Buffer::new(&table, &store, &isolate));
        drop(buffer.store());
        let collector = thread::spawn(move || drop(other));
        assert_eq!((buffer.store(), buffer.store()), (store.clone(), store.clone()));
        collector.join().unwrap();
        drop(buffer);
        assert_eq!(store.exposure(), None);
    });
}

#[test]
fn table_two_addresses_with_one_place_are_told_apart() {
    static PLACES: [[u8; 8]; 2] = [[0; 8]; 2];
    loom::model(|| {
        let (table, isolate, freed) = (table(), isolate(), LoomArc::new(AtomicBool::new(false)));
        let [first, second] = [0, 1].map(|index| store(&PLACES[index], &freed));
        let [buffer, other] = [&first, &second].map(|store| Buffer::new(&table, store, &isolate));
        drop(other.store());
        let reader = thread::spawn(move || {
            assert_eq!(other.store(), second);
            other
        });
        assert_eq!(buffer.store(), first);
        drop(reader.join().unwrap());
    });
}
