//! Memory that an engine owns and resizes, with an engine of a few lines.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use offheap::adapter::{self, EngineMemory, Hold, IsolateRegistration};
use offheap::{BackingStore, Budget, Cells, Error, NotUnique, ReadGuard, Site, StoreKind};

/// Shared by the engine and the store: V8's `BackingStore`, behind its `shared_ptr`.
struct Inner {
    bytes: Box<[AtomicU8]>,
    byte_length: AtomicUsize,
}

#[derive(Clone)]
struct Memory(Arc<Inner>);

impl Memory {
    fn new(byte_length: usize, max_byte_length: usize) -> Self {
        let bytes = (0..max_byte_length).map(|_| AtomicU8::new(0)).collect();
        Memory(Arc::new(Inner { bytes, byte_length: AtomicUsize::new(byte_length) }))
    }

    /// Script's `resize` and `grow`.
    fn resize(&self, byte_length: usize) {
        self.0.byte_length.store(byte_length, Ordering::SeqCst);
    }

    fn is_held_elsewhere(&self) -> bool {
        Arc::strong_count(&self.0) != 1
    }
}

// SAFETY: a live box of atomics, as long as its maximum.
unsafe impl EngineMemory for Memory {
    fn data(&self) -> NonNull<u8> {
        NonNull::new(self.0.bytes.as_ptr().cast_mut()).unwrap().cast()
    }

    fn byte_length(&self) -> usize {
        self.0.byte_length.load(Ordering::SeqCst)
    }

    fn max_byte_length(&self) -> usize {
        self.0.bytes.len()
    }
}

fn isolate() -> IsolateRegistration {
    IsolateRegistration::new("Mine").unwrap()
}

fn exposed(memory: &Memory, isolate: &IsolateRegistration, may_shrink: bool) -> (Hold, BackingStore) {
    // SAFETY: the test resizes the memory only while it has the hold, on one thread.
    let hold = unsafe { Hold::engine_memory(memory.clone(), isolate.id(), may_shrink, Site::here()) }.unwrap();
    let store = hold.store(hold.data().as_ptr(), hold.byte_length());
    (hold, store)
}

fn read<'a>(store: &BackingStore, isolate: &IsolateRegistration) -> Result<ReadGuard<'a>, Error> {
    // SAFETY: there is no script, and the tests of this file do not write under a guard.
    unsafe { adapter::bytes_in(store, isolate.id()) }
}

fn cells<'a>(store: &BackingStore, isolate: &IsolateRegistration) -> Result<Cells<'a>, Error> {
    // SAFETY: as above.
    unsafe { adapter::cells_in(store, isolate.id()) }
}

fn write(store: &BackingStore, isolate: &IsolateRegistration, offset: usize, from: &[u8]) -> Result<(), Error> {
    // SAFETY: as above.
    unsafe { adapter::copy_from_slice_in(store, isolate.id(), offset, from) }
}

#[test]
fn the_length_is_the_engines() {
    let (isolate, memory) = (isolate(), Memory::new(4, 16));
    let (hold, store) = exposed(&memory, &isolate, true);
    assert_eq!((store.kind(), store.byte_length(), store.max_byte_length()), (StoreKind::ENGINE_RESIZABLE, 4, 16));
    assert_eq!(store.exposure(), Some((isolate.id(), 1)));
    memory.resize(9);
    assert_eq!((store.byte_length(), hold.byte_length()), (9, 9));
    memory.resize(2);
    assert_eq!(store.byte_length(), 2);

    hold.resize(2).unwrap();
    assert!(matches!(hold.resize(3), Err(Error::EngineResizes { requested: 3, .. })));
    drop(hold);
    assert!(matches!(store.clone().resize(3), Err(Error::EngineResizes { requested: 3, .. })));
    drop(store);
    assert!(!memory.is_held_elsewhere());
}

#[test]
fn memory_that_may_shrink_is_read_only_in_its_scope_while_it_is_exposed() {
    let (isolate, memory) = (isolate(), Memory::new(4, 16));
    let (hold, mut store) = exposed(&memory, &isolate, true);

    let denied = store.copy_to_slice(0, &mut [0]).unwrap_err();
    assert!(matches!(denied, Error::EngineMayShrink { attempted: "read", .. }), "{denied}");
    assert!(denied.to_string().contains("transferToFixedLength"));
    assert!(matches!(store.to_vec(), Err(Error::EngineMayShrink { .. })));
    let denied = store.bytes().unwrap_err();
    assert!(matches!(denied, Error::Exposed { .. }) && !denied.to_string().contains("to_vec"), "{denied}");
    assert!(matches!(store.bytes_mut(), Err(Error::Exposed { .. })));

    assert!(matches!(cells(&store, &isolate), Err(Error::EngineMayShrink { .. })));
    write(&store, &isolate, 1, &[7, 8]).unwrap();
    assert_eq!(*read(&store, &isolate).unwrap(), [0, 7, 8, 0]);
    memory.resize(2);
    assert_eq!(*read(&store, &isolate).unwrap(), [0, 7]);
    write(&store, &isolate, 0, &[6]).unwrap();
    let beyond = write(&store, &isolate, 1, &[7, 8]);
    assert!(matches!(beyond, Err(Error::OutOfRange { store_byte_length: 2, .. })));

    // The engine has released it, so its length is fixed.
    drop(hold);
    assert_eq!(store.exposure(), None);
    assert_eq!(store.to_vec().unwrap(), [6, 7]);
    assert_eq!(store.bytes().unwrap().len(), 2);
    store.bytes_mut().unwrap().fill(1);
    let mut one = [0];
    store.copy_to_slice(1, &mut one).unwrap();
    assert_eq!(one, [1]);
    assert!(matches!(store.copy_to_slice(2, &mut one), Err(Error::OutOfRange { .. })));
    let refused = store.try_into_unique().unwrap_err();
    assert!(matches!(refused.error(), Error::NotUnique { reason: NotUnique::Kind, .. }));
}

#[test]
fn a_guard_keeps_it_from_being_exposed_again() {
    let (isolate, memory) = (isolate(), Memory::new(4, 16));
    let (hold, store) = exposed(&memory, &isolate, true);
    assert!(matches!(Hold::new(&store, isolate.id()), Err(Error::OneBuffer { .. })));
    drop(hold);
    let guard = store.bytes().unwrap();
    assert!(matches!(Hold::new(&store, isolate.id()), Err(Error::Busy { .. })));
    drop(guard);
    let hold = Hold::new(&store, isolate.id()).unwrap();
    assert!(matches!(store.to_vec(), Err(Error::EngineMayShrink { .. })));
    drop(hold);
}

#[test]
fn a_part_is_out_of_bounds_until_it_has_grown_back() {
    let (isolate, memory) = (isolate(), Memory::new(8, 16));
    let (_hold, store) = exposed(&memory, &isolate, true);
    let part = store.slice(4..8).unwrap();
    memory.resize(6);
    assert_eq!((part.is_out_of_bounds(), part.byte_length()), (true, 0));
    let beyond = read(&part, &isolate);
    assert!(matches!(beyond, Err(Error::OutOfRange { store_byte_length: 6, .. })));
    memory.resize(8);
    assert_eq!((part.is_out_of_bounds(), part.byte_length()), (false, 4));
}

#[test]
fn memory_that_only_grows_is_copied_from_anywhere() {
    let (isolate, memory) = (isolate(), Memory::new(2, 8));
    let (_hold, store) = exposed(&memory, &isolate, false);
    assert_eq!((store.kind(), store.max_byte_length()), (StoreKind::ENGINE_GROWABLE, 8));
    let elsewhere = store.clone();
    memory.resize(3);
    let copied = std::thread::spawn(move || elsewhere.to_vec().unwrap()).join().unwrap();
    assert_eq!(copied, [0, 0, 0]);
    let cells = cells(&store, &isolate).unwrap();
    assert_eq!(cells.len(), 3);
    assert!(matches!(store.to_vec(), Err(Error::Busy { .. })));
}

#[test]
fn shared_memory_grows_by_its_engine() {
    let memory = Memory::new(2, 8);
    // SAFETY: the test only lengthens it.
    let store = unsafe { adapter::shared_engine_memory(memory.clone(), Site::here()) }.unwrap();
    assert_eq!((store.byte_length(), store.max_byte_length(), store.is_growable()), (2, 8, true));
    assert!(matches!(store.grow(4), Err(Error::EngineResizes { requested: 4, .. })));
    memory.resize(4);
    assert_eq!((store.byte_length(), store.as_atomics().len()), (4, 4));
    store.grow(4).unwrap();
    adapter::grow_to_at_least(&store, 3).unwrap();
    assert!(matches!(store.grow(3), Err(Error::EngineResizes { .. })));
    store.copy_from_slice(3, &[9]).unwrap();
    assert_eq!(store.to_vec().unwrap(), [0, 0, 0, 9]);
    let (first, second) = (isolate(), isolate());
    let holds = [&first, &second].map(|isolate| Hold::new(store.as_store(), isolate.id()).unwrap());
    assert_eq!(holds[0].store(memory.data().as_ptr(), 2), *store.as_store());
    drop((holds, store));
    assert!(!memory.is_held_elsewhere());
}

#[test]
fn it_counts_in_no_budget_and_in_no_isolates_bytes() {
    // Exact, since the other tests of this file make nothing that counts.
    Budget::set(1);
    let (isolate, memory) = (isolate(), Memory::new(4, 16));
    let (_hold, _store) = exposed(&memory, &isolate, true);
    // SAFETY: its length does not change.
    let _shared = unsafe { adapter::shared_engine_memory(memory.clone(), Site::here()) }.unwrap();
    assert_eq!((Budget::used(), isolate.id().external_bytes()), (0, 0));
    Budget::clear();
}

#[test]
fn a_weak_handle_upgrades_while_the_engine_has_the_memory() {
    let (isolate, memory) = (isolate(), Memory::new(4, 16));
    let (hold, store) = exposed(&memory, &isolate, true);
    let weak = store.downgrade();
    drop(store);
    memory.resize(7);
    assert_eq!(weak.upgrade().unwrap().byte_length(), 7);
    drop(hold);
    assert!(weak.upgrade().is_none());
    assert!(!memory.is_held_elsewhere());
}
