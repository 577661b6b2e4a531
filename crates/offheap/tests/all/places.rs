//! Places: a store records the line of Rust that made it, and the number of places in scripts is bounded.

use std::panic::Location;
use std::sync::Arc;

use offheap::adapter;
use offheap::{FrozenStore, ManualMemory, ManualOptions, SharedStore, Site, UniqueStore};

/// The place of this call's caller, which the site must have.
#[track_caller]
fn here(site: Site) {
    let caller = Location::caller();
    let Site::Native(place) = site else { panic!("{site} is a place in Rust") };
    assert_eq!((place.file(), place.line()), (caller.file(), caller.line()));
}

#[test]
fn c21_a_function_that_makes_a_store_records_its_caller() {
    here(UniqueStore::zeroed(1).unwrap().site());
    here(UniqueStore::zeroed_aligned(1, 64).unwrap().site());
    here(UniqueStore::filled(1, |_| {}).unwrap().site());
    here(UniqueStore::resizable(1, 2).unwrap().site());
    here(UniqueStore::from_owner(vec![1_u8]).unwrap().site());
    here(UniqueStore::from_owner_with_deleter(vec![1_u8], |_, _| {}).unwrap().site());
    here(SharedStore::zeroed(1).unwrap().site());
    here(SharedStore::growable(1, 2).unwrap().site());
    here(SharedStore::from_owner(vec![1_u8]).unwrap().site());
    here(FrozenStore::from_owner(&[1_u8][..]).unwrap().site());
    let manual = |memory: ManualMemory| {
        let site = memory.store().site();
        memory.free().unwrap();
        site
    };
    here(manual(ManualMemory::allocate(1).unwrap()));
    here(manual(ManualMemory::allocate_with(1, ManualOptions::default()).unwrap()));
}

#[test]
fn c21_conversions_record_their_caller() {
    here(UniqueStore::try_from(vec![1_u8]).unwrap().site());
    here(UniqueStore::try_from(vec![1_u8].into_boxed_slice()).unwrap().site());
    here(FrozenStore::try_from(&[1_u8][..]).unwrap().site());
    here(FrozenStore::try_from(Arc::<[u8]>::from([1_u8])).unwrap().site());
}

#[test]
fn c21_a_caller_is_kept_through_a_function_that_does_not_track_it() {
    #[track_caller]
    fn verb(store: &dyn Fn() -> UniqueStore) -> UniqueStore {
        adapter::on_behalf_of_caller(store)
    }
    here(verb(&|| UniqueStore::zeroed(1).unwrap()).site());
    here(verb(&|| verb(&|| UniqueStore::zeroed(1).unwrap())).site());
    let panicked = std::panic::catch_unwind(|| adapter::on_behalf_of_caller(|| panic!("on purpose")));
    assert!(panicked.is_err());
    here(UniqueStore::zeroed(1).unwrap().site());
}

#[test]
fn what_a_native_function_makes_is_made_by_the_line_of_script() {
    let script = adapter::script_site("calls.js", 3, 7);
    let store = adapter::on_behalf_of(script, || UniqueStore::zeroed(1).unwrap());
    assert_eq!(store.site(), script);
    here(UniqueStore::zeroed(1).unwrap().site());
}

/// In a process of its own, since it fills the table of places.
#[test]
fn c21_places_in_scripts_have_a_bound() {
    let known = adapter::script_site("known.js", 1, 2);
    for number in 0..10_000 {
        // The names differ at the end, and the shorter ones fill the rest of the table.
        let name = format!("{}{number}.js", "x".repeat(if number < 1000 { 300 } else { 0 }));
        assert!(adapter::script_site(&name, 1, 2).to_string().len() < 300);
    }
    assert_eq!(adapter::script_site("new.js", 3, 4).to_string(), "(other scripts):3:4");
    for line in 0..100_000 {
        adapter::script_site("known.js", line, 1);
    }
    assert_eq!(adapter::script_site("known.js", 1_000_000, 1).to_string(), "(other scripts)");
    assert_eq!(adapter::script_site("known.js", 1, 2), known);
}
