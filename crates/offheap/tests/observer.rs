//! The observer: the events of one store, in order. A process has one observer, so this has a file of its own.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread::{self, ThreadId};

use offheap::adapter::{self, Hold, IsolateRegistration};
use offheap::observe::{Event, EventKind, Observer, set_observer};
use offheap::{
    BackingStore, Error, FrozenStore, Holder, ManualHeap, ManualMemory, ManualOptions, SharedStore, StoreId, StoreKind,
    UniqueStore,
};

struct Recorder(Mutex<Vec<(ThreadId, Event)>>);

impl Observer for Recorder {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push((thread::current().id(), *event));
        if event.kind == EventKind::Resized && FREE_WHEN_TOLD.lock().unwrap().remove(&event.store) {
            // The turn of the other thread.
            let free = || ManualHeap::free(std::ptr::without_provenance_mut(event.address));
            let freed = thread::scope(|scope| scope.spawn(free).join().unwrap());
            let in_use = matches!(freed, Err(Error::FreeInUse { holder: Holder::Resizing, .. }));
            assert!(in_use, "freed before its length was told: {freed:?}");
        }
    }
}

/// Manual memory that another thread frees, or tries to, while the observer is told of a resize.
static FREE_WHEN_TOLD: Mutex<BTreeSet<StoreId>> = Mutex::new(BTreeSet::new());

static RECORDER: Recorder = Recorder(Mutex::new(Vec::new()));

/// The events of one store. Other tests may cause events of theirs at the same time.
fn told(store: StoreId) -> Vec<Event> {
    RECORDER.0.lock().unwrap().iter().map(|(_, event)| *event).filter(|event| event.store == store).collect()
}

fn kinds(store: StoreId) -> Vec<EventKind> {
    told(store).into_iter().map(|event| event.kind).collect()
}

fn observe() {
    // The first test sets it.
    let _ = set_observer(&RECORDER);
}

#[test]
fn lengths_are_told_when_they_change() {
    observe();
    let lengths = |id| told(id).iter().map(|event| (event.kind, event.byte_length)).collect::<Vec<_>>();
    let mut store = BackingStore::from(UniqueStore::resizable(1, 100).unwrap());
    let shared = SharedStore::growable(1, 100).unwrap();
    for byte_length in [5, 5, 70] {
        store.resize(byte_length).unwrap();
        shared.grow(byte_length).unwrap();
    }
    let grown = [(EventKind::Created, 1), (EventKind::Resized, 5), (EventKind::Resized, 70)];
    assert_eq!(lengths(store.id()), grown);
    assert_eq!(lengths(shared.id()), grown);
    store.resize(3).unwrap();
    store.resize(101).unwrap_err();
    shared.grow(3).unwrap_err();
    assert_eq!(lengths(store.id()).last(), Some(&(EventKind::Resized, 3)));
    assert_eq!(lengths(shared.id()), grown);
}

#[test]
fn the_life_of_a_store_is_told_in_order() {
    observe();
    let registration = IsolateRegistration::new("Test").unwrap();
    let isolate = registration.id();
    let line = line!() + 1;
    let store = BackingStore::from(UniqueStore::from_owner(vec![1u8, 2, 3]).unwrap());
    let (id, address) = (store.id(), store.as_ptr().addr());
    let exposed = Hold::new(&store, isolate).unwrap();
    adapter::note_externalized(&store, isolate);
    adapter::note_detached(&store, isolate);
    drop(exposed);
    drop(store);
    let released = EventKind::Released { isolate: Some(isolate) };
    assert_eq!(
        kinds(id),
        [
            EventKind::Created,
            EventKind::Exposed { isolate },
            EventKind::Externalized { isolate },
            EventKind::Detached { isolate },
            released,
            EventKind::Freed { at: None },
        ]
    );
    for event in told(id) {
        assert_eq!((event.store_kind, event.byte_length, event.address), (StoreKind::FIXED, 3, address));
        assert!(event.created.to_string().contains(&format!("observer.rs:{line}:")), "{}", event.created);
    }
}

#[test]
fn a_free_is_told_before_the_owner_is_dropped_and_on_its_thread() {
    observe();
    let (sender, receiver) = std::sync::mpsc::channel();
    let id = std::sync::Arc::new(std::sync::OnceLock::new());
    let known = id.clone();
    let deleter = move |_, _| sender.send(kinds(*known.get().unwrap())).unwrap();
    let store = UniqueStore::from_owner_with_deleter(vec![0u8], deleter).unwrap();
    id.set(store.id()).unwrap();
    let elsewhere = thread::spawn(move || drop(store)).thread().id();
    assert_eq!(receiver.recv().unwrap(), [EventKind::Created, EventKind::Freed { at: None }]);
    let records = RECORDER.0.lock().unwrap();
    let freed = records
        .iter()
        .find(|(_, event)| Some(&event.store) == id.get() && matches!(event.kind, EventKind::Freed { .. }));
    assert_eq!(freed.unwrap().0, elsewhere);
}

#[test]
fn manual_memory_is_freed_only_by_its_free() {
    observe();
    let memory = ManualMemory::allocate(5).unwrap();
    let id = memory.store().id();
    assert_eq!(kinds(id), [EventKind::Created]);
    memory.free().unwrap();
    assert!(memory.free().is_err());
    let at = memory.freed();
    drop(memory);
    assert_eq!(kinds(id), [EventKind::Created, EventKind::Freed { at }]);
}

#[test]
fn an_owner_that_comes_back_is_told_as_freed_once() {
    observe();
    let store = UniqueStore::from_owner(vec![0u8]).unwrap();
    let id = store.id();
    let vec: Vec<u8> = store.try_into_owner().unwrap();
    assert_eq!(kinds(id), [EventKind::Created, EventKind::Freed { at: None }]);
    drop(vec);
    assert_eq!(kinds(id).len(), 2);
}

#[test]
fn a_store_that_becomes_unique_and_shared_again_is_created_once() {
    observe();
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let id = store.id();
    let weak = store.downgrade();
    let store = BackingStore::from(store.try_into_unique().unwrap());
    assert!(weak.upgrade().is_none());
    drop(store);
    assert_eq!(kinds(id), [EventKind::Created, EventKind::Freed { at: None }]);
}

#[test]
fn a_frozen_buffer_is_released_without_a_count() {
    observe();
    let registration = IsolateRegistration::new("Test").unwrap();
    let isolate = registration.id();
    let frozen = FrozenStore::from_owner(&[1u8][..]).unwrap();
    let id = frozen.id();
    drop(Hold::frozen(&frozen, isolate));
    drop(frozen);
    let released = EventKind::Released { isolate: None };
    assert_eq!(
        kinds(id),
        [EventKind::Created, EventKind::Exposed { isolate }, released, EventKind::Freed { at: None }]
    );
}

#[test]
fn a_refused_operation_is_not_told() {
    observe();
    extern "C" fn nothing(_: *mut std::ffi::c_void) {}
    let mut byte = Box::new(0u8);
    let data = (&raw mut *byte).cast();
    // SAFETY: a byte that no other code uses, and that outlives its adoption.
    let memory = unsafe { ManualMemory::adopt(data, 1, nothing) }.unwrap();
    // SAFETY: refused.
    assert!(unsafe { ManualMemory::adopt(data, 1, nothing) }.is_err());
    memory.free().unwrap();
    let address = data.addr();
    let records = RECORDER.0.lock().unwrap();
    let here = records.iter().filter(|(_, event)| event.address == address && event.store_kind == StoreKind::MANUAL);
    assert_eq!(here.count(), 2, "created and freed");
}

#[test]
fn a_second_observer_is_refused() {
    observe();
    assert!(matches!(set_observer(&RECORDER), Err(Error::ObserverSet)));
}

#[test]
fn no_free_by_hand_comes_before_the_new_length_was_told() {
    observe();
    let options = ManualOptions { max_byte_length: Some(100), ..ManualOptions::default() };
    let memory = ManualMemory::allocate_with(1, options).unwrap();
    let mut store = memory.store().clone();
    for byte_length in [50, 10] {
        FREE_WHEN_TOLD.lock().unwrap().insert(store.id());
        store.resize(byte_length).unwrap();
        assert!(!FREE_WHEN_TOLD.lock().unwrap().contains(&store.id()), "it was told");
    }
    memory.free().unwrap();
    let freed = EventKind::Freed { at: memory.freed() };
    assert_eq!(kinds(store.id()), [EventKind::Created, EventKind::Resized, EventKind::Resized, freed]);
}
