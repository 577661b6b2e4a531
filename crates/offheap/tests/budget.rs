//! The budget: an allocation beyond it is refused and the value comes back, and the sum stays exact.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use offheap::{
    BackingStore, Budget, Error, FrozenStore, ManualHeap, ManualMemory, ManualOptions, MapMode, Mapped, SharedStore,
    UniqueStore,
};

/// A process has one budget, so tests take turns.
fn with_limit(byte_limit: usize) -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Budget::set(byte_limit);
    assert_eq!((Budget::used(), Budget::limit()), (0, Some(byte_limit)));
    turn
}

fn is_over(error: &Error, requested: usize, used: usize, limit: usize) -> bool {
    matches!(error, Error::OverBudget { requested: r, used: u, limit: l } if (*r, *u, *l) == (requested, used, limit))
}

#[test]
fn an_allocation_beyond_the_budget_is_refused_and_the_error_says_how_much_is_used() {
    let _turn = with_limit(1000);
    let store = UniqueStore::zeroed(600).unwrap();
    let error = UniqueStore::zeroed(401).unwrap_err();
    assert!(is_over(&error, 401, 600, 1000), "{error}");
    assert_eq!(
        error.to_string(),
        "cannot allocate 401 bytes more: 600 of the budget's 1000 bytes are in use; drop stores that are no longer needed, \
         or raise the limit with `Budget::set`"
    );
    drop(UniqueStore::zeroed(400).unwrap());
    drop(store);
    assert_eq!(Budget::used(), 0);
    assert!(is_over(&UniqueStore::zeroed(usize::MAX >> 2).unwrap_err(), usize::MAX >> 2, 0, 1000));
    assert!(is_over(&UniqueStore::zeroed_aligned(1001, 64).unwrap_err(), 1001, 0, 1000));
    assert!(is_over(&SharedStore::zeroed(1001).unwrap_err(), 1001, 0, 1000));
    assert!(is_over(&SharedStore::growable(1001, 2000).unwrap_err(), 1001, 0, 1000));
    assert!(is_over(&UniqueStore::resizable(1001, 2000).unwrap_err(), 1001, 0, 1000));
    assert!(is_over(&ManualMemory::allocate(1001).unwrap_err(), 1001, 0, 1000));
    assert_eq!(Budget::used(), 0);
}

#[test]
fn a_value_that_is_refused_comes_back() {
    let _turn = with_limit(7);
    let (error, vec) = UniqueStore::from_owner(vec![1u64, 2]).unwrap_err().into_parts();
    assert!(is_over(&error, 16, 0, 7), "{error}");
    assert_eq!(vec, [1, 2]);
    let boxed: Box<[u16]> = Box::new([1, 2, 3, 4]);
    assert_eq!(*UniqueStore::try_from(boxed).unwrap_err().into_inner(), [1, 2, 3, 4]);
    assert_eq!(SharedStore::from_owner(vec![3u32, 4]).unwrap_err().into_inner(), [3, 4]);
    let deleter = |_: *mut u8, _: usize| panic!("called");
    let (vec, _) = UniqueStore::from_owner_with_deleter(vec![5u8; 8], deleter).unwrap_err().into_inner();
    assert_eq!(vec, [5; 8]);
    let mut bytes = [0u8; 8];
    // SAFETY: refused, so the bytes are not used.
    let rejected = unsafe { UniqueStore::from_raw_parts(bytes.as_mut_ptr(), 8, deleter) }.unwrap_err();
    assert!(is_over(rejected.error(), 8, 0, 7));
    // SAFETY: any size may be asked for.
    let data = unsafe { libc::malloc(8) };
    // SAFETY: as above, and the address stays ours.
    let error = unsafe { ManualMemory::adopt(data, 8, libc::free) }.unwrap_err();
    assert!(is_over(&error, 8, 0, 7), "{error}");
    // SAFETY: allocated above.
    unsafe { libc::free(data) };
    assert_eq!(Budget::used(), 0);
}

#[test]
fn bytes_return_with_the_last_reference_or_with_the_owner() {
    let _turn = with_limit(100);
    let store = BackingStore::from(UniqueStore::from_owner(vec![0u8; 60]).unwrap());
    let (clone, part, weak) = (store.clone(), store.slice(..1).unwrap(), store.downgrade());
    drop((store, clone));
    assert_eq!(Budget::used(), 60);
    drop(part);
    assert_eq!(Budget::used(), 0);
    drop(weak);
    let store = BackingStore::from(UniqueStore::from_owner(vec![0u8; 60]).unwrap());
    let weak = store.downgrade();
    let unique = store.try_into_unique().unwrap();
    assert_eq!((Budget::used(), weak.upgrade()), (60, None));
    drop(unique.try_into_owner::<Vec<u8>>().unwrap());
    assert_eq!(Budget::used(), 0);
}

#[test]
fn resizable_and_growable_memory_counts_as_long_as_it_is() {
    let _turn = with_limit(10_000);
    let mut store = BackingStore::from(UniqueStore::resizable(0, 1 << 30).unwrap());
    for byte_length in [5000, 10_000, 3, 9000] {
        store.resize(byte_length).unwrap();
        assert_eq!(Budget::used(), byte_length);
    }
    let error = store.resize(10_001).unwrap_err();
    assert!(is_over(&error, 1001, 9000, 10_000), "{error}");
    let shared = SharedStore::growable(500, 1 << 30).unwrap();
    shared.grow(1000).unwrap();
    let error = shared.grow(1001).unwrap_err();
    assert!(is_over(&error, 1, 10_000, 10_000), "{error}");
    assert_eq!((store.byte_length(), shared.byte_length(), Budget::used()), (9000, 1000, 10_000));
    drop(store);
    shared.grow(10_000).unwrap();
    drop(shared);
    assert_eq!(Budget::used(), 0);
}

#[test]
fn growth_on_four_threads_is_counted_once() {
    let _turn = with_limit(usize::MAX - 1);
    let shared = SharedStore::growable(0, 1 << 22).unwrap();
    thread::scope(|scope| {
        for seed in 0..4 {
            let shared = shared.clone();
            scope.spawn(move || (0..1000).for_each(|step| drop(shared.grow(step * 4096 + seed))));
        }
    });
    assert_eq!(Budget::used(), shared.byte_length());
    drop(shared);
    assert_eq!(Budget::used(), 0);
}

#[test]
fn b15_manual_memory_counts_until_it_is_freed_and_adopted_memory_until_it_went_back() {
    let _turn = with_limit(2 << 20);
    // Adopted memory goes back when it is no longer remembered.
    let large = ManualMemory::allocate(1 << 20).unwrap();
    assert_eq!(Budget::used(), 1 << 20);
    large.free().unwrap();
    assert_eq!(Budget::used(), 0);
    let small = ManualMemory::allocate(100).unwrap();
    // SAFETY: any size may be asked for.
    let data = unsafe { libc::calloc(50, 1) };
    // SAFETY: 50 bytes that nobody else uses.
    let adopted = unsafe { ManualMemory::adopt(data, 50, libc::free) }.unwrap();
    assert_eq!(Budget::used(), 150);
    small.free().unwrap();
    adopted.free().unwrap();
    assert_eq!(Budget::used(), 50);
    for _ in 0..1024 {
        ManualMemory::allocate(0).unwrap().free().unwrap();
    }
    assert_eq!(Budget::used(), 0);
    for shared in [false, true] {
        let options = ManualOptions { shared, max_byte_length: Some(1000), ..ManualOptions::default() };
        let memory = ManualMemory::allocate_with(100, options).unwrap();
        assert_eq!(Budget::used(), 100);
        match SharedStore::try_from(memory.store().clone()) {
            Ok(shared) => shared.grow(300).unwrap(),
            Err(unshared) => unshared.into_inner().resize(300).unwrap(),
        }
        assert_eq!(Budget::used(), 300);
        memory.free().unwrap();
        assert_eq!(Budget::used(), 0);
    }
    assert!(ManualHeap::unfreed().unwrap().is_empty());
}

#[test]
fn frozen_memory_and_earlier_stores_do_not_count() {
    let _turn = with_limit(10);
    let frozen = FrozenStore::from_owner(&[0u8; 100][..]).unwrap();
    let path = std::env::temp_dir().join(format!("offheap-budget-{}", std::process::id()));
    std::fs::write(&path, [0; 100]).unwrap();
    let mapped = Mapped::open(&path, MapMode::ReadWrite).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((mapped.byte_length(), Budget::used()), (100, 0));
    assert_eq!(Budget::used(), 0);
    drop(frozen);
    let counted = UniqueStore::zeroed(10).unwrap();
    Budget::clear();
    assert_eq!(Budget::limit(), None);
    let mut free = UniqueStore::resizable(1000, 5000).unwrap();
    Budget::set(10);
    free.resize(5000).unwrap();
    assert_eq!(Budget::used(), 10);
    drop(free);
    drop(counted);
    assert_eq!(Budget::used(), 0);
}

#[test]
fn a_limit_below_what_is_used_frees_nothing_and_lets_nothing_in() {
    let _turn = with_limit(100);
    let store = UniqueStore::zeroed(80).unwrap();
    Budget::set(50);
    assert!(is_over(&UniqueStore::zeroed(1).unwrap_err(), 1, 80, 50));
    UniqueStore::zeroed(0).unwrap_err();
    drop(store);
    drop(UniqueStore::zeroed(50).unwrap());
    assert_eq!(Budget::used(), 0);
}
