//! Totals of all stores. They are of the whole process, so this is a program of its own, whose tests take turns.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU8;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use offheap::adapter::{EngineMemory, Hold, IsolateRegistration, shared_engine_memory};
use offheap::observe::{self, Event, Observer, Refusal, Totals};
use offheap::{BackingStore, FrozenStore, ManualMemory, ManualOptions, SharedStore, Site, StoreKind, UniqueStore};

thread_local! {
    /// How many allocations of this thread succeed before all fail; `None` if none fails.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

struct Failing;

// SAFETY: passes everything on to the system's allocator, or fails.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match LEFT.get() {
            Some(0) => return std::ptr::null_mut(),
            left => LEFT.set(left.map(|left| left - 1)),
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(data, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// The turn of one test, and the totals at its start.
struct Turn {
    _turn: MutexGuard<'static, ()>,
    before: Totals,
}

fn turn() -> Turn {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    observe::start_counting();
    Turn { _turn: turn, before: observe::totals() }
}

impl Turn {
    /// The stores made and freed, and the bytes made and freed, since the start.
    fn counts(&self) -> [u64; 4] {
        let Totals { stores_made, stores_freed, bytes_made, bytes_freed, .. } = observe::totals();
        let before = &self.before;
        [
            stores_made - before.stores_made,
            stores_freed - before.stores_freed,
            bytes_made - before.bytes_made,
            bytes_freed - before.bytes_freed,
        ]
    }
}

#[test]
fn a_store_counts_when_it_is_made_and_when_it_is_freed() {
    let turn = turn();
    let store = UniqueStore::zeroed(100).unwrap();
    assert_eq!(turn.counts(), [1, 0, 100, 0]);
    let store = BackingStore::from(store);
    drop((store.clone(), store.slice(1..2)));
    assert_eq!(turn.counts(), [1, 0, 100, 0]);
    drop(store);
    assert_eq!(turn.counts(), [1, 1, 100, 100]);
}

#[test]
fn an_owner_that_comes_back_counts_as_freed() {
    let turn = turn();
    let store = BackingStore::from_owner(vec![0u8; 7]).unwrap();
    let weak = store.downgrade();
    let store = store.try_into_unique().unwrap();
    assert!(weak.upgrade().is_none());
    let _vec: Vec<u8> = store.try_into_owner().unwrap();
    assert_eq!(turn.counts(), [1, 1, 7, 7]);
}

#[test]
fn growth_and_shrinking_count_by_the_difference() {
    let turn = turn();
    let mut store = BackingStore::from(UniqueStore::resizable(10, 100).unwrap());
    let shared = SharedStore::growable(1, 100).unwrap();
    store.resize(60).unwrap();
    store.resize(20).unwrap();
    store.resize(20).unwrap();
    shared.grow(5).unwrap();
    assert_eq!(turn.counts(), [2, 0, 65, 40]);
    let totals = observe::totals();
    assert_eq!(totals.resizable_made - turn.before.resizable_made, 1);
    assert_eq!(totals.shared_made - turn.before.shared_made, 1);
    assert_eq!(totals.live_bytes() - turn.before.live_bytes(), 25);
    drop((store, shared));
    assert_eq!(turn.counts(), [2, 2, 65, 65]);
}

#[test]
fn manual_memory_counts_as_freed_when_it_is_freed_by_hand() {
    let turn = turn();
    let fixed = ManualMemory::allocate(10).unwrap();
    let options = ManualOptions { max_byte_length: Some(100), ..ManualOptions::default() };
    let resizable = ManualMemory::allocate_with(1, options).unwrap();
    resizable.store().clone().resize(30).unwrap();
    assert_eq!(turn.counts(), [2, 0, 40, 0]);
    for memory in [fixed, resizable] {
        memory.free().unwrap();
        memory.free().unwrap_err();
    }
    assert_eq!(turn.counts(), [2, 2, 40, 40]);
}

#[test]
fn what_is_refused_does_not_count() {
    let turn = turn();
    extern "C" fn nothing(_: *mut std::ffi::c_void) {}
    let mut byte = Box::new(0u8);
    let data = (&raw mut *byte).cast();
    // SAFETY: a byte that no other code uses, and that outlives its adoption.
    let memory = unsafe { ManualMemory::adopt(data, 1, nothing) }.unwrap();
    // SAFETY: refused.
    assert!(unsafe { ManualMemory::adopt(data, 1, nothing) }.is_err());
    memory.free().unwrap();
    assert_eq!(turn.counts(), [1, 1, 1, 1]);
    // The list of freed memory refers to the byte.
    Box::leak(byte);
}

#[test]
fn memory_of_an_engine_that_becomes_shared_counts_as_shared() {
    let turn = turn();
    let isolate = IsolateRegistration::new("Test").unwrap();
    let hold = Hold::of_owner(vec![0u8; 9], isolate.id(), Site::here()).unwrap();
    let hold = hold.into_shared().unwrap();
    assert_eq!(observe::totals().shared_made - turn.before.shared_made, 1);
    drop(hold);
    assert_eq!(turn.counts(), [1, 1, 9, 9]);
}

#[test]
fn memory_whose_length_an_engine_changes_has_no_bytes() {
    struct OneByte(AtomicU8);
    // SAFETY: one byte, which is written as an atomic, in an owner that a block does not move.
    unsafe impl EngineMemory for OneByte {
        fn data(&self) -> NonNull<u8> {
            NonNull::from(&self.0).cast()
        }

        fn byte_length(&self) -> usize {
            1
        }

        fn max_byte_length(&self) -> usize {
            1
        }
    }
    let turn = turn();
    // SAFETY: nobody else has the byte.
    drop(unsafe { shared_engine_memory(OneByte(AtomicU8::new(0)), Site::here()) });
    assert_eq!(turn.counts(), [1, 1, 0, 0]);
}

#[test]
fn threads_that_end_are_in_the_sum() {
    let turn = turn();
    let made: Vec<UniqueStore> = (0..40)
        .map(|_| {
            let make = || {
                drop(UniqueStore::zeroed(5).unwrap());
                UniqueStore::zeroed(1).unwrap()
            };
            thread::spawn(make).join().unwrap()
        })
        .collect();
    assert_eq!(turn.counts(), [80, 40, 240, 200]);
    drop(made);
    assert_eq!(turn.counts(), [80, 80, 240, 240]);
}

#[test]
fn a_store_that_a_thread_drops_at_its_end_counts() {
    thread_local!(static KEPT: RefCell<Vec<UniqueStore>> = const { RefCell::new(Vec::new()) });
    let turn = turn();
    let keep = || KEPT.with_borrow_mut(|kept| kept.push(UniqueStore::zeroed(3).unwrap()));
    thread::spawn(keep).join().unwrap();
    assert_eq!(turn.counts(), [1, 1, 3, 3]);
}

#[test]
fn eight_threads_count_exactly_and_no_sum_has_more_frees_than_stores() {
    let turn = turn();
    let (sender, receiver) = mpsc::sync_channel::<UniqueStore>(100);
    thread::scope(|scope| {
        for _ in 0..7 {
            let sender = sender.clone();
            scope.spawn(move || {
                for _ in 0..20_000 {
                    drop(UniqueStore::zeroed(16).unwrap());
                    sender.send(UniqueStore::zeroed(8).unwrap()).unwrap();
                }
            });
        }
        drop(sender);
        scope.spawn(move || receiver.into_iter().for_each(drop));
        for _ in 0..100 {
            let Totals { stores_made, stores_freed, bytes_made, bytes_freed, .. } = observe::totals();
            assert!(stores_freed <= stores_made && bytes_freed <= bytes_made);
            thread::yield_now();
        }
    });
    let bytes = 7 * 20_000 * 24;
    assert_eq!(turn.counts(), [280_000, 280_000, bytes, bytes]);
}

#[test]
fn a_thread_without_memory_for_its_counts_counts_beside_others() {
    let turn = turn();
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    thread::scope(|scope| {
        for allocations in 1..5 {
            let (sender, made) = mpsc::channel();
            let wait = &wait;
            scope.spawn(move || {
                // The first allocation is the store's.
                LEFT.set(Some(allocations));
                let store = FrozenStore::from_owner(&[0u8; 3][..]);
                LEFT.set(None);
                sender.send(store.is_ok()).unwrap();
                // It keeps its counts, so that the next thread needs memory for its own.
                let _ = wait.lock().unwrap().recv();
            });
            assert!(made.recv().unwrap(), "no store with {allocations} allocations");
        }
        drop(release);
    });
    assert_eq!(turn.counts(), [4, 4, 12, 12]);
}

#[test]
fn an_observer_may_want_refusals_and_no_events() {
    struct Refusals(Mutex<Vec<&'static str>>);
    impl Observer for Refusals {
        fn event(&self, event: &Event) {
            panic!("told {:?}", event.kind);
        }

        fn wants_events(&self) -> bool {
            false
        }

        fn wants(&self, _: usize, _: StoreKind) -> bool {
            panic!("asked");
        }

        fn refused(&self, refusal: &Refusal<'_>) {
            self.0.lock().unwrap().push(refusal.code);
        }
    }
    static REFUSALS: Refusals = Refusals(Mutex::new(Vec::new()));
    let turn = turn();
    observe::set_observer(&REFUSALS).unwrap();
    assert!(!observe::is_observed());
    let memory = ManualMemory::allocate(1).unwrap();
    memory.free().unwrap();
    memory.free().unwrap_err();
    assert_eq!(*REFUSALS.0.lock().unwrap(), ["DOUBLE_FREE"]);
    assert_eq!(turn.counts(), [1, 1, 1, 1]);
}
