//! An observer that panics: nothing is lost, and nothing stays exposed. A process has one observer, so this has a file of
//! its own.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap::adapter::{Hold, IsolateRegistration, engine_store};
use offheap::observe::{Event, EventKind, Observer, Refusal, set_observer};
use offheap::{BackingStore, Budget, Error, ManualHeap, ManualMemory, Site, StoreId, StoreKind, UniqueStore};

// The last store whose free was told to this thread.
thread_local!(static FREED: Cell<Option<StoreId>> = const { Cell::new(None) });
thread_local!(static PANIC_AT: Cell<fn(EventKind) -> bool> = const { Cell::new(|_| false) });

struct Panics;

thread_local!(static PANIC_WHEN: Cell<&'static str> = const { Cell::new("") });

fn panics_when(asked: &str) {
    if PANIC_WHEN.get() == asked {
        PANIC_WHEN.set("");
        panic!("observer");
    }
}

impl Observer for Panics {
    fn wants(&self, _: usize, _: StoreKind) -> bool {
        panics_when("wants");
        true
    }

    fn refused(&self, _: &Refusal<'_>) {
        panics_when("refused");
    }

    fn event(&self, event: &Event) {
        if matches!(event.kind, EventKind::Freed { .. }) {
            FREED.set(Some(event.store));
        }
        if PANIC_AT.get()(event.kind) {
            PANIC_AT.set(|_| false);
            panic!("observer");
        }
    }
}

fn panics_at(kind: fn(EventKind) -> bool, step: impl FnOnce()) {
    let _ = set_observer(&Panics);
    PANIC_AT.set(kind);
    assert!(catch_unwind(AssertUnwindSafe(step)).is_err());
}

#[test]
fn when_a_store_is_created_its_owner_is_dropped() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let deleter = |_, _| {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    };
    let step = || drop(UniqueStore::from_owner_with_deleter(vec![0u8], deleter));
    panics_at(|kind| kind == EventKind::Created, step);
    assert_eq!(DROPPED.load(Ordering::SeqCst), 1);
}

#[test]
fn when_a_store_is_freed_its_owner_is_dropped() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let deleter = |_, _| {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    };
    let store = UniqueStore::from_owner_with_deleter(vec![0u8], deleter).unwrap();
    panics_at(|kind| kind == EventKind::Freed { at: None }, || drop(store));
    assert_eq!(DROPPED.load(Ordering::SeqCst), 1);
}

#[test]
fn when_a_store_is_exposed_it_is_exposed_nowhere() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    panics_at(|kind| matches!(kind, EventKind::Exposed { .. }), || drop(Hold::new(&store, isolate.id())));
    assert_eq!((store.exposure(), store.reference_count()), (None, 1));
    store.try_into_unique().unwrap();
}

#[test]
fn when_a_buffer_is_released_it_is_withdrawn() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let exposed = Hold::new(&store, isolate.id()).unwrap();
    panics_at(|kind| matches!(kind, EventKind::Released { .. }), || drop(exposed));
    assert_eq!((store.exposure(), store.reference_count()), (None, 1));
    store.try_into_unique().unwrap();
}

#[test]
fn when_it_is_asked_for_a_store_the_owner_is_dropped_and_nothing_is_charged() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let deleter = |_, _| {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    };
    let _ = set_observer(&Panics);
    // Far above what the other tests of this file use.
    Budget::set(1 << 30);
    PANIC_WHEN.set("wants");
    let owner = vec![0u8; 1 << 20];
    assert!(catch_unwind(|| drop(UniqueStore::from_owner_with_deleter(owner, deleter))).is_err());
    assert_eq!(DROPPED.load(Ordering::SeqCst), 1);
    assert!(Budget::used() < 1 << 20);
}

#[test]
fn when_a_free_is_refused_the_heap_is_as_it_was() {
    let _ = set_observer(&Panics);
    let memory = ManualMemory::allocate(1).unwrap();
    memory.free().unwrap();
    PANIC_WHEN.set("refused");
    assert!(catch_unwind(AssertUnwindSafe(|| memory.free())).is_err());
    assert!(matches!(memory.free(), Err(Error::DoubleFree { .. })));
    assert!(ManualHeap::unfreed().unwrap().iter().all(|unfreed| unfreed.store != memory.store().id()));
}

#[test]
fn when_a_control_block_moves_the_owner_is_dropped() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let deleter = |_, _| {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    };
    let store = BackingStore::from(UniqueStore::from_owner_with_deleter(vec![0u8], deleter).unwrap());
    let weak = store.downgrade();
    panics_at(|kind| kind == EventKind::BlockMoved, || drop(store.try_into_unique()));
    assert_eq!(DROPPED.load(Ordering::SeqCst), 1);
    assert!(weak.upgrade().is_none());
}

#[test]
fn when_the_engines_own_buffer_is_released_its_store_is_still_counted_and_told() {
    let host = IsolateRegistration::host("Host").unwrap();
    // SAFETY: I-HOST: no script and no host uses the memory.
    let (store, weak) = unsafe { engine_store(vec![0_u8; 8], host.id(), Site::here()) }.unwrap();
    let id = store.id();
    panics_at(|kind| matches!(kind, EventKind::Released { .. }), || drop(store));
    assert!(weak.upgrade().is_none());
    assert_eq!(FREED.get(), Some(id));
}
