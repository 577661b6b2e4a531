//! Weak handles: they keep no memory alive, and are severed when a unique store takes the memory.

use offheap::{BackingStore, Error, NotUnique, UniqueStore};

fn store() -> BackingStore {
    UniqueStore::from_owner(vec![1u8, 2, 3, 4]).unwrap().into()
}

#[test]
fn a_weak_handle_upgrades_while_a_reference_lives() {
    let store = store();
    let weak = store.downgrade();
    let again = weak.upgrade().unwrap();
    assert_eq!(again, store);
    assert_eq!(store.reference_count(), 2);
    drop((store, again));
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_weak_handle_to_a_part_upgrades_to_that_part() {
    let store = store();
    let weak = store.slice(1..3).unwrap().downgrade();
    let part = weak.upgrade().unwrap();
    assert_eq!((part.byte_offset(), part.byte_length()), (1, 2));
}

#[test]
fn taking_the_unique_store_severs_weak_handles_for_good() {
    let store = store();
    let id = store.id();
    let address = store.as_ptr();
    let weak = store.downgrade();
    let unique = store.try_into_unique().unwrap();
    assert!(weak.upgrade().is_none());
    let shared = BackingStore::from(unique);
    assert_eq!((shared.id(), shared.as_ptr()), (id, address));
    assert!(weak.upgrade().is_none());
    assert!(weak.clone().upgrade().is_none());
    drop(weak);
    assert_eq!(shared.to_vec().unwrap(), [1, 2, 3, 4]);
    assert!(shared.downgrade().upgrade().is_some());
}

#[test]
fn the_owner_comes_back_also_where_weak_handles_were_severed() {
    let vec = vec![1u8, 2];
    let address = vec.as_ptr();
    let store = BackingStore::from(UniqueStore::from_owner(vec).unwrap());
    let weak = store.downgrade();
    let back: Vec<u8> = store.try_into_unique().unwrap().try_into_owner().unwrap();
    assert_eq!(back.as_ptr(), address);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_store_with_a_clone_is_not_unique() {
    let store = store();
    let clone = store.clone();
    let rejected = store.try_into_unique().unwrap_err();
    assert!(matches!(rejected.error(), Error::NotUnique { reason: NotUnique::References(2), .. }));
    drop(clone);
    rejected.into_inner().try_into_unique().unwrap();
}

#[test]
fn a_part_is_never_unique() {
    let rejected = store().slice(..).unwrap().try_into_unique().unwrap_err();
    assert!(matches!(rejected.error(), Error::NotUnique { reason: NotUnique::SubStore, .. }));
}

#[test]
fn a_store_with_a_guard_that_was_forgotten_is_not_unique() {
    let store = store();
    std::mem::forget(store.bytes().unwrap());
    assert!(store.try_into_unique().is_err());
}
