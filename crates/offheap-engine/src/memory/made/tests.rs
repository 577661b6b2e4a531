use offheap::{BackingStore, StoreKind, UniqueStore};

use super::super::BlockUse;
use super::super::fake::{FakeBlock, Isolate, TABLE};
use super::*;

#[test]
fn a_store_over_an_engine_s_block_counts_as_exposed_until_the_engine_lets_go() {
    let (isolate, block) = (Isolate::new(), FakeBlock::new(64, 64));
    let store = isolate.externalize(&block, BlockUse::Fixed, None);
    assert_eq!((store.as_ptr().addr(), store.byte_length(), store.kind()), (block.address(), 64, StoreKind::FIXED));
    assert_eq!(TABLE.look_up(block.address(), 64).unwrap(), store);
    isolate.look();
    assert!(store.exposure().is_some());
    drop(block);
    isolate.look();
    assert_eq!((store.exposure(), store.bytes().unwrap().len()), (None, 64));
}

#[test]
fn an_isolate_that_ends_leaves_what_others_have_and_its_id_with_it() {
    let (isolate, block) = (Isolate::new(), FakeBlock::new(64, 64));
    let (weak, id) = (Arc::downgrade(&isolate.registration), isolate.registration.id());
    let store = isolate.externalize(&block, BlockUse::Fixed, None);
    let sibling = isolate.sibling();
    isolate.end();
    assert_eq!((store.exposure(), weak.strong_count()), (Some((id, 1)), 1));
    drop(block);
    // The next check, by any isolate.
    sibling.look();
    assert_eq!((store.exposure(), weak.strong_count()), (None, 0));
}

#[test]
fn no_lock_is_held_while_exposures_are_dropped() {
    /// On drop, records whether the list is unlocked.
    struct Looks(Arc<Isolate>, Arc<Mutex<Vec<bool>>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0.stores.try_lock().is_ok());
        }
    }
    let (isolate, seen) = (Arc::new(Isolate::new()), Arc::new(Mutex::new(Vec::new())));
    let exposed = |block: &FakeBlock| {
        let looks = Looks(Arc::clone(&isolate), Arc::clone(&seen));
        let memory = BackingStore::from(UniqueStore::zeroed(8).unwrap());
        let data = memory.as_ptr().cast();
        // SAFETY: I-MAPPED: the deleter keeps the memory alive; no code writes it.
        let owner = unsafe { UniqueStore::from_raw_parts(data, 8, move |_, _| drop((memory, looks))) };
        let hold = Hold::new(&owner.unwrap().into(), isolate.registration.id()).unwrap();
        isolate.note(EngineMade::new(hold, block.clone()));
    };
    exposed(&FakeBlock::new(8, 8));
    isolate.look();
    exposed(&FakeBlock::new(8, 8));
    assert!(EngineMadeStores::end(&isolate.stores).is_empty());
    assert_eq!(*seen.lock().unwrap(), [true, true]);
}

#[test]
fn the_list_is_looked_through_as_it_grows_and_not_at_each_step() {
    let isolate = Isolate::new();
    for _ in 0..3 * STORES_BEFORE_A_LOOK {
        // The engine drops its block at once.
        drop(isolate.externalize(&FakeBlock::new(8, 8), BlockUse::Fixed, None));
        assert!(lock(&isolate.stores).made.len() <= STORES_BEFORE_A_LOOK);
    }
}
