//! Each block is freed with the layout of its allocation, and none is left. The allocator of this test compares them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{BackingStore, FrozenStore, UniqueStore};

/// The blocks that a thread has allocated since it began to watch.
const SLOTS: usize = 4096;

#[derive(Clone, Copy)]
struct Block {
    address: usize,
    size: usize,
    align: usize,
}

const FREE: Block = Block { address: 0, size: 0, align: 0 };

thread_local! {
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static BLOCKS: [Cell<Block>; SLOTS] = const { [const { Cell::new(FREE) }; SLOTS] };
    static MISTAKES: Cell<usize> = const { Cell::new(0) };
}

struct Checking;

fn record(address: usize, layout: Layout) {
    if address == 0 || !WATCHING.get() {
        return;
    }
    BLOCKS.with(|blocks| {
        let slot = blocks.iter().find(|slot| slot.get().address == 0).expect("enough slots for one scenario");
        slot.set(Block { address, size: layout.size(), align: layout.align() });
    });
}

fn forget(address: usize, layout: Layout) {
    if !WATCHING.get() {
        return;
    }
    BLOCKS.with(|blocks| match blocks.iter().find(|slot| slot.get().address == address) {
        Some(slot) => {
            let known = slot.replace(FREE);
            if (known.size, known.align) != (layout.size(), layout.align()) {
                MISTAKES.set(MISTAKES.get() + 1);
            }
        }
        // Allocated before the watch, or freed twice.
        None => MISTAKES.set(MISTAKES.get() + 1),
    });
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Checking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let data = unsafe { System.alloc(layout) };
        record(data.addr(), layout);
        data
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let data = unsafe { System.alloc_zeroed(layout) };
        record(data.addr(), layout);
        data
    }

    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        forget(data.addr(), layout);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(data, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Checking = Checking;

/// How many blocks were freed with a wrong layout, and how many were not freed.
fn watch(scenario: impl FnOnce()) -> (usize, usize) {
    WATCHING.set(true);
    scenario();
    WATCHING.set(false);
    let leaked = BLOCKS.with(|blocks| blocks.iter().filter(|slot| slot.replace(FREE).address != 0).count());
    (MISTAKES.replace(0), leaked)
}

fn check(scenario: impl FnOnce()) {
    assert_eq!(watch(scenario), (0, 0), "blocks with a wrong layout, blocks left");
}

fn vec() -> Vec<u32> {
    Vec::with_capacity(11)
}

#[test]
fn the_check_sees_a_wrong_layout() {
    let seen = watch(|| {
        record(64, Layout::new::<[u32; 4]>());
        forget(64, Layout::new::<[u64; 2]>());
    });
    assert_eq!(seen, (1, 0));
}

#[test]
fn the_check_sees_a_block_that_is_freed_twice_and_one_that_is_left() {
    assert_eq!(watch(|| std::mem::forget(Box::new(1u8))), (0, 1));
    assert_eq!(watch(|| forget(64, Layout::new::<u8>())), (1, 0));
}

#[test]
fn of_zeroed_stores_of_every_size() {
    for byte_length in [0, 1, 15, 16, 4095, 4096, 1 << 20] {
        check(|| drop(UniqueStore::zeroed(byte_length).unwrap()));
        check(|| drop(BackingStore::from(UniqueStore::zeroed(byte_length).unwrap()).clone()));
    }
}

#[test]
fn of_a_vec_with_spare_capacity() {
    check(|| drop(BackingStore::from(UniqueStore::from_owner(vec()).unwrap())));
    check(|| {
        let store = BackingStore::from(UniqueStore::from_owner(vec()).unwrap());
        let back: Vec<u32> = store.try_into_unique().unwrap().try_into_owner().unwrap();
        assert_eq!(back.capacity(), 11);
    });
}

#[test]
fn of_a_store_whose_weak_handles_outlive_it() {
    check(|| {
        let store = BackingStore::from(UniqueStore::from_owner(vec()).unwrap());
        let (first, second) = (store.downgrade(), store.downgrade());
        drop(first);
        drop(store);
        assert!(second.upgrade().is_none());
    });
}

#[test]
fn of_a_store_whose_weak_handles_were_severed() {
    check(|| {
        let store = BackingStore::from(UniqueStore::from_owner(vec()).unwrap());
        let weak = store.downgrade();
        let unique = store.try_into_unique().unwrap();
        drop(weak);
        drop(unique);
    });
    check(|| {
        let store = BackingStore::from(UniqueStore::from_owner(vec()).unwrap());
        let weak = store.downgrade();
        let back: Vec<u32> = store.try_into_unique().unwrap().try_into_owner().unwrap();
        drop((back, weak));
    });
}

#[test]
fn of_owners_of_every_size_and_alignment() {
    #[repr(align(128))]
    struct Aligned(#[allow(dead_code, reason = "has a size")] [u8; 200]);
    check(|| drop(UniqueStore::from_owner_with_deleter(Vec::<u8>::new(), |_, _| ())));
    let aligned = Aligned([1; 200]);
    check(|| {
        let deleter = move |_, _| assert_eq!((&raw const aligned).addr() % 128, 0);
        let store = BackingStore::from(UniqueStore::from_owner_with_deleter(vec(), deleter).unwrap());
        let weak = store.downgrade();
        drop(store.try_into_unique().unwrap());
        drop(weak);
    });
}

#[test]
fn of_frozen_stores() {
    check(|| drop(FrozenStore::from_owner(Arc::<[u16]>::from(vec![1, 2, 3])).unwrap().clone()));
    check(|| drop(FrozenStore::from_owner(&[1u8][..]).unwrap()));
    check(|| drop(FrozenStore::from_owner(vec()).unwrap().slice(..).unwrap()));
    check(|| drop(FrozenStore::from_owner(String::from("text")).unwrap()));
    check(|| drop(FrozenStore::from_owner(vec().into_boxed_slice()).unwrap()));
    check(|| drop(FrozenStore::from_owner(Arc::new(vec())).unwrap()));
}

#[test]
fn of_exposed_stores() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    check(|| {
        let store = BackingStore::from(UniqueStore::from_owner(vec()).unwrap());
        let exposed = Hold::new(&store, isolate.id()).unwrap();
        drop(store);
        drop(exposed);
    });
    check(|| drop(UniqueStore::resizable(3, 100).unwrap()));
}

#[test]
fn of_a_store_whose_owner_panics_in_its_drop() {
    // The panic itself allocates; that memory is freed with its payload.
    fn nothing(_: &std::panic::PanicHookInfo<'_>) {}
    std::panic::set_hook(Box::new(nothing));
    let panicking = || {
        let deleter = |_, _| std::panic::resume_unwind(Box::new(5));
        let store = UniqueStore::from_owner_with_deleter(vec(), deleter).unwrap();
        drop(catch_unwind(AssertUnwindSafe(|| drop(store))).unwrap_err());
    };
    check(panicking);
    let weak_too = || {
        let deleter = |_, _| std::panic::resume_unwind(Box::new(5));
        let store = BackingStore::from(UniqueStore::from_owner_with_deleter(vec(), deleter).unwrap());
        let weak = store.downgrade();
        drop(catch_unwind(AssertUnwindSafe(|| drop(store))).unwrap_err());
        drop(weak);
    };
    check(weak_too);
}

#[test]
fn of_hand_overs_that_are_refused() {
    check(|| {
        let store = BackingStore::from(UniqueStore::from_owner(vec()).unwrap());
        let rejected = store.clone().try_into_unique().unwrap_err();
        drop(store);
        let unique = rejected.into_inner().try_into_unique().unwrap();
        drop(unique.try_into_owner::<Vec<u8>>().unwrap_err());
    });
}
