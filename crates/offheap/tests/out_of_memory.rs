//! Every operation, in which the n-th allocation fails, for every n: there is an error, nothing is lost and nothing aborts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use offheap::{BackingStore, Error, FrozenStore, ManualMemory, UniqueStore};

thread_local! {
    /// How many allocations of this thread succeed before one fails; `None` if all do.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

struct Failing;

fn fails() -> bool {
    match LEFT.get() {
        None => false,
        Some(0) => {
            LEFT.set(None);
            true
        }
        Some(left) => {
            LEFT.set(Some(left - 1));
            false
        }
    }
}

// SAFETY: passes everything on to the system's allocator, or fails.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(data, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Runs `step` with its first allocation failing, then its second, until none is left to fail. Returns how many failed.
fn for_every_allocation(mut step: impl FnMut() -> Result<(), Error>) -> usize {
    for count in 0.. {
        LEFT.set(Some(count));
        let result = step();
        let reached = LEFT.replace(None).is_none();
        match result {
            Ok(()) if !reached => return count,
            Ok(()) => panic!("allocation {count} failed and nobody noticed"),
            Err(error) => assert!(matches!(error, Error::OutOfMemory { .. }), "{error}"),
        }
    }
    unreachable!()
}

#[test]
fn a_zeroed_store() {
    assert_eq!(for_every_allocation(|| UniqueStore::zeroed(100).map(drop)), 2);
    assert_eq!(for_every_allocation(|| UniqueStore::zeroed(0).map(drop)), 1);
}

#[test]
fn a_vec_comes_back() {
    let mut vec = Some(vec![1u8, 2, 3]);
    let failed = for_every_allocation(|| {
        let store = UniqueStore::from_owner(vec.take().unwrap()).map_err(|rejected| {
            let (error, given_back) = rejected.into_parts();
            vec = Some(given_back);
            error
        })?;
        vec = Some(store.try_into_owner().unwrap());
        Ok(())
    });
    assert_eq!((failed, vec), (1, Some(vec![1, 2, 3])));
}

#[test]
fn a_deleter_is_not_called() {
    let deleter = |_: *mut u8, _: usize| panic!("called");
    LEFT.set(Some(0));
    // SAFETY: no bytes.
    let rejected = unsafe { UniqueStore::from_raw_parts(std::ptr::null_mut(), 0, deleter) }.unwrap_err();
    assert!(matches!(rejected.error(), Error::OutOfMemory { .. }));
    LEFT.set(Some(0));
    let rejected = UniqueStore::from_owner_with_deleter(Vec::<u8>::new(), deleter).unwrap_err();
    assert!(matches!(rejected.error(), Error::OutOfMemory { .. }));
    let (vec, _deleter) = rejected.into_inner();
    assert!(vec.is_empty());
}

#[test]
fn a_frozen_owner_comes_back() {
    let numbers: Arc<[u8]> = vec![1, 2].into();
    for_every_allocation(|| FrozenStore::from_owner(numbers.clone()).map(drop).map_err(Error::from));
    assert_eq!(Arc::strong_count(&numbers), 1);
}

#[test]
fn a_store_that_cannot_sever_its_weak_handles_comes_back_with_them() {
    let store = BackingStore::from(UniqueStore::zeroed(8).unwrap());
    let weak = store.downgrade();
    LEFT.set(Some(0));
    let rejected = store.try_into_unique().unwrap_err();
    LEFT.set(None);
    assert!(matches!(rejected.error(), Error::OutOfMemory { .. }));
    let store = rejected.into_inner();
    assert_eq!(weak.upgrade(), Some(store.clone()));
    store.try_into_unique().unwrap();
}

#[test]
fn manual_memory_of_every_sort() {
    for byte_length in [0, 100, 1 << 20] {
        let failed = for_every_allocation(|| {
            let memory = ManualMemory::allocate(byte_length)?;
            // A free needs no memory.
            let left = LEFT.replace(Some(0));
            memory.free().unwrap();
            assert_eq!(LEFT.replace(left), Some(0), "a free allocated");
            Ok(())
        });
        assert!(failed >= 1);
    }
    let unfreed = offheap::ManualHeap::unfreed().unwrap();
    assert!(unfreed.is_empty(), "{unfreed:?}");
}

#[test]
fn a_copy_of_all_bytes() {
    let store = BackingStore::from(UniqueStore::zeroed(100).unwrap());
    assert_eq!(for_every_allocation(|| store.to_vec().map(drop)), 1);
    assert_eq!(for_every_allocation(|| store.copy_out::<u32>().map(drop)), 1);
}

#[test]
fn memory_for_a_resizable_buffer() {
    // The allocator does not make the reservation.
    assert_eq!(for_every_allocation(|| UniqueStore::resizable(1, 100).map(drop)), 1);
}
