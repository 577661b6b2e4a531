//! The observer: the events of one store, in order. A process has one observer, so this has a file of its own.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread::{self, ThreadId};

use offheap::adapter::{self, Hold, IsolateRegistration};
use offheap::observe::{self, Event, EventKind, Observer, Refusal, set_observer};
use offheap::{
    BackingStore, Error, FrozenStore, Holder, ManualHeap, ManualMemory, ManualOptions, SharedStore, Site, StoreId,
    StoreKind, UniqueStore,
};

struct Recorder(Mutex<Vec<(ThreadId, Event)>>);

/// A store of this length is declined.
const DECLINED: usize = 777;

/// What the observer is told of a refusal, as `(store, code, at, earlier, created, text)`.
type Refused = (Option<StoreId>, &'static str, Site, Option<Site>, Option<Site>, String);

thread_local!(static ASKED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) });
thread_local!(static REFUSED: RefCell<Vec<Refused>> = const { RefCell::new(Vec::new()) });

impl Observer for Recorder {
    fn wants(&self, byte_length: usize, _: StoreKind) -> bool {
        ASKED.with_borrow_mut(|asked| asked.push(byte_length));
        byte_length != DECLINED
    }

    fn refused(&self, refusal: &Refusal<'_>) {
        assert!(adapter::in_finalizer());
        // No lock of the core is held.
        ManualHeap::unfreed().unwrap();
        let Refusal { store, code, at, earlier, created, error, .. } = *refusal;
        REFUSED.with_borrow_mut(|refused| refused.push((store, code, at, earlier, created, error.to_string())));
    }

    fn event(&self, event: &Event) {
        // `handles.rs` is about these.
        if matches!(event.kind, EventKind::Referenced { .. } | EventKind::Dropped { .. }) {
            return;
        }
        if event.kind == EventKind::Created && event.byte_length == FREED_WHEN_CREATED {
            // The turn of the other thread. A free that goes through is told before this returns.
            let free = || ManualHeap::free(std::ptr::without_provenance_mut(event.address));
            let freed = thread::scope(|scope| scope.spawn(free).join().unwrap());
            assert!(matches!(freed, Err(Error::UnknownAddress { .. })), "freed before it was told: {freed:?}");
            let unfreed = ManualHeap::unfreed().unwrap();
            assert!(unfreed.iter().all(|memory| memory.store != event.store), "listed before it was told");
        }
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

/// Manual memory of this length another thread tries to free while the observer is told that it was made.
const FREED_WHEN_CREATED: usize = 4321;

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
    assert_eq!(kinds(id), [EventKind::Created, EventKind::BlockMoved, EventKind::Freed { at: None }]);
}

#[test]
fn a_frozen_buffer_is_released_without_a_count() {
    observe();
    let registration = IsolateRegistration::new("Test").unwrap();
    let isolate = registration.id();
    let frozen = FrozenStore::from_owner(&[1u8][..]).unwrap();
    let id = frozen.id();
    drop(Hold::new(frozen.as_store(), isolate).unwrap());
    drop(frozen);
    let released = EventKind::Released { isolate: None };
    assert_eq!(
        kinds(id),
        [EventKind::Created, EventKind::Exposed { isolate }, released, EventKind::Freed { at: None }]
    );
}

#[test]
fn an_adapter_says_which_isolate_released_a_buffer_that_is_not_counted() {
    observe();
    let (first, second) = (IsolateRegistration::new("Test").unwrap(), IsolateRegistration::new("Test").unwrap());
    let frozen = FrozenStore::from_owner(&[1u8][..]).unwrap();
    Hold::new(frozen.as_store(), first.id()).unwrap().release(|| Some(first.id()));
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    // What the store knows is right.
    Hold::new(&store, first.id()).unwrap().release(|| Some(second.id()));
    for id in [frozen.id(), store.id()] {
        assert_eq!(kinds(id).last(), Some(&EventKind::Released { isolate: Some(first.id()) }));
    }
    assert_eq!((frozen.reference_count(), store.exposure()), (1, None));
}

#[test]
fn a_hold_of_which_the_observer_hears_comes_back() {
    observe();
    let isolate = IsolateRegistration::new("Test").unwrap();
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let hold = Hold::new(&store, isolate.id()).unwrap().release_if_kept().unwrap_err();
    assert_eq!(kinds(store.id()).last(), Some(&EventKind::Exposed { isolate: isolate.id() }));
    hold.release(|| None);
    assert_eq!(kinds(store.id()).last(), Some(&EventKind::Released { isolate: Some(isolate.id()) }));
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

#[test]
fn a_store_that_is_declined_is_never_told() {
    observe();
    let registration = IsolateRegistration::new("Test").unwrap();
    let store = BackingStore::from(UniqueStore::zeroed(DECLINED).unwrap());
    let manual = ManualMemory::allocate(DECLINED).unwrap();
    let (id, manual_id) = (store.id(), manual.store().id());
    drop(Hold::new(&store, registration.id()).unwrap());
    let weak = store.downgrade();
    // In a new control block it is still the store that was declined.
    let unique = store.try_into_unique().unwrap();
    assert!(weak.upgrade().is_none());
    drop(unique.try_into_owner::<Vec<u8>>());
    manual.free().unwrap();
    assert_eq!((kinds(id), kinds(manual_id)), (vec![], vec![]));
    // A refusal is told of all of them.
    manual.free().unwrap_err();
    assert_eq!(REFUSED.take().len(), 1);
}

#[test]
fn stores_are_declined_without_a_question_until_their_bytes_are_enough() {
    observe();
    let made = |byte_length| UniqueStore::zeroed(byte_length).unwrap().id();
    observe::decline_bytes(10);
    let stores = [4, 0, 4, 1, 3, 5].map(made);
    // 4, 1 for the empty store, 4 and 1 are the ten: the store that completes them is asked for, and those after it.
    assert_eq!(ASKED.take(), [1, 3, 5]);
    let told: Vec<bool> = stores.iter().map(|&store| !kinds(store).is_empty()).collect();
    assert_eq!(told, [false, false, false, true, true, true]);
}

#[test]
fn each_refused_free_is_told_with_both_places() {
    observe();
    let registration = IsolateRegistration::new("Test").unwrap();
    let here = || Site::here();
    let memory = ManualMemory::allocate(16).unwrap();
    let (id, allocated) = (memory.store().id(), memory.store().site());
    let hold = Hold::new(memory.store(), registration.id()).unwrap();
    memory.free_at(here()).unwrap_err();
    drop(hold);
    let first = here();
    memory.free_at(first).unwrap();
    let second = here();
    let error = memory.free_at(second).unwrap_err();
    ManualHeap::free(memory.as_ptr()).unwrap_err();
    ManualHeap::free(std::ptr::without_provenance_mut(1)).unwrap_err();
    let refused = REFUSED.take();
    let [in_use, double, by_pointer, unknown] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((in_use.0, in_use.1, in_use.3, in_use.4), (Some(id), "FREE_IN_USE", Some(allocated), Some(allocated)));
    let expected = (Some(id), "DOUBLE_FREE", second, Some(first), Some(allocated), error.to_string());
    assert_eq!(*double, expected);
    assert_eq!((by_pointer.0, by_pointer.1, by_pointer.3), (Some(id), "DOUBLE_FREE", Some(first)));
    assert_eq!((unknown.0, unknown.1, unknown.3, unknown.4), (None, "UNKNOWN_ADDRESS", None, None));
}

#[test]
fn the_address_of_a_reused_block_is_told_with_the_free_of_the_first() {
    observe();
    // The allocator that `adopt` is told of gives one address out twice, as more than 64 MiB of it were freed.
    extern "C" fn nothing(_: *mut std::ffi::c_void) {}
    let mut bytes = vec![0u8; 65 << 20];
    let data = bytes.as_mut_ptr().cast();
    // SAFETY: the bytes of a vector that nobody else uses, and that outlives its adoption.
    unsafe { ManualMemory::adopt(data, bytes.len(), nothing) }.unwrap().free().unwrap();
    // SAFETY: as above: the first `free_fn` was called.
    let again = unsafe { ManualMemory::adopt(data, 1, nothing) }.unwrap();
    ManualHeap::free(data).unwrap_err();
    again.free().unwrap();
    let refused = REFUSED.take();
    let [reused] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((reused.1, reused.4), ("UNKNOWN_ADDRESS", Some(again.store().site())));
    assert!(reused.3.is_some(), "the first free");
}

#[test]
fn the_holders_of_a_store_are_read_from_its_newest_block() {
    observe();
    let registration = IsolateRegistration::new("Test").unwrap();
    let isolate = registration.id();
    let store = BackingStore::from(UniqueStore::zeroed(8).unwrap());
    let id = store.id();
    let holders = || {
        let key = told(id).last().unwrap().block();
        // SAFETY: the key of the store's last event, and only this thread has the store.
        unsafe { observe::holders(key) }
    };
    let (part, weak) = (store.slice(2..4).unwrap(), store.downgrade());
    let buffer = Hold::new(&store, isolate).unwrap();
    let now = holders();
    assert_eq!((now.references, now.weak, now.exposure), (2, 1, Some((isolate, 1))));
    drop(buffer);
    let reader = part.bytes().unwrap();
    assert_eq!((holders().readers, holders().writer, holders().exposure), (1, false, None));
    drop(reader);
    drop(part);
    let unique = store.try_into_unique().unwrap();
    assert_eq!(kinds(id).last(), Some(&EventKind::BlockMoved));
    assert_eq!((holders().references, holders().weak), (1, 0));
    drop(weak);
    let mut store = BackingStore::from(unique);
    let writer = store.bytes_mut().unwrap();
    assert!(holders().writer);
    drop(writer);
}

#[test]
fn a_store_over_an_engines_own_buffer_is_told_as_exposed_until_it_ends_or_the_engine_releases_it() {
    observe();
    let host = IsolateRegistration::host("Host").unwrap();
    let isolate = host.id();
    // SAFETY: there is no engine that uses the memory.
    let store = || unsafe { adapter::engine_store(vec![0_u8; 8], isolate, Site::here()) }.unwrap();
    let (exposed, released) = (EventKind::Exposed { isolate }, EventKind::Released { isolate: Some(isolate) });

    let (ends, _) = store();
    let id = ends.id();
    drop(ends);
    assert_eq!(kinds(id), [EventKind::Created, exposed, released, EventKind::Freed { at: None }]);

    let (store, weak) = store();
    let id = store.id();
    for _ in 0..2 {
        // SAFETY: there is no engine that uses the memory.
        unsafe { adapter::engine_released(&weak) };
        assert_eq!(kinds(id), [EventKind::Created, exposed, released]);
    }
    drop(store);
    // SAFETY: there is no engine that uses the memory.
    unsafe { adapter::engine_released(&weak) };
    assert_eq!(kinds(id), [EventKind::Created, exposed, released, EventKind::Freed { at: None }]);
}

#[test]
fn the_block_of_manual_memory_is_there_until_its_free_was_told() {
    observe();
    // Pages, at an address that no other test adopted.
    let memory = ManualMemory::allocate(100_000).unwrap();
    let (id, data) = (memory.store().id(), memory.as_ptr());
    drop(memory);
    let key = told(id).last().unwrap().block();
    // SAFETY: the memory is not freed yet.
    let now = unsafe { observe::holders(key) };
    assert_eq!((now.references, now.exposure), (0, None));
    ManualHeap::free(data).unwrap();
    assert_eq!(kinds(id).len(), 2);
}

#[test]
fn manual_memory_is_freed_by_its_address_only_after_the_observer_was_told_of_it() {
    let _ = set_observer(&RECORDER);
    let memory = ManualMemory::allocate(FREED_WHEN_CREATED).unwrap();
    let resizable = ManualMemory::allocate_with(
        FREED_WHEN_CREATED,
        ManualOptions { max_byte_length: Some(FREED_WHEN_CREATED * 2), ..ManualOptions::default() },
    )
    .unwrap();
    for memory in [memory, resizable] {
        let id = memory.store().id();
        assert!(ManualHeap::unfreed().unwrap().iter().any(|unfreed| unfreed.store == id));
        ManualHeap::free(memory.as_ptr()).unwrap();
        let kinds: Vec<_> = told(id).iter().map(|event| event.kind).collect();
        assert!(matches!(kinds[..], [EventKind::Created, EventKind::Freed { .. }]), "{kinds:?}");
    }
}
