//! An engine's hold on a store, and the users that it excludes. Adapters call this; here there is no engine.

use std::thread;

use offheap::adapter::{self, Hold, IsolateRegistration};
use offheap::{BackingStore, Error, FrozenStore, Holder, ManualMemory, NotUnique, Site, StoreKind, UniqueStore};

fn store() -> BackingStore {
    UniqueStore::from_owner(vec![1u8, 2, 3, 4]).unwrap().into()
}

fn isolate() -> IsolateRegistration {
    IsolateRegistration::new("Test").unwrap()
}

#[test]
fn an_exposed_store_lends_no_bytes_outside_its_isolate() {
    let (mut store, isolate) = (store(), isolate());
    let exposed = Hold::new(&store, isolate.id()).unwrap();
    assert!(matches!(store.bytes(), Err(Error::Exposed { buffers: 1, .. })));
    assert!(matches!(store.bytes_mut(), Err(Error::Exposed { buffers: 1, .. })));
    drop(exposed);
    store.bytes_mut().unwrap()[0] = 2;
}

#[test]
fn an_exposed_store_is_read_by_copy_on_any_thread() {
    let (store, isolate) = (store(), isolate());
    let _exposed = Hold::new(&store, isolate.id()).unwrap();
    assert_eq!(thread::spawn(move || store.to_vec().unwrap()).join().unwrap(), [1, 2, 3, 4]);
}

#[test]
fn a_store_is_exposed_in_one_isolate_at_a_time() {
    let (store, first, second) = (store(), isolate(), isolate());
    let one = Hold::new(&store, first.id()).unwrap();
    let two = Hold::new(&store, first.id()).unwrap();
    assert_eq!(store.exposure(), Some((first.id(), 2)));
    let Err(error) = Hold::new(&store, second.id()) else { panic!("exposed twice") };
    assert!(matches!(error, Error::OtherIsolate { isolate, requested, buffers: 2, .. }
        if isolate == first.id() && requested == second.id()));
    assert!(error.to_string().contains("detach or collect"), "{error}");
    drop((one, two));
    assert_eq!(store.exposure(), None);
    assert!(Hold::new(&store, second.id()).is_ok());
}

#[test]
fn a_hold_is_released_without_finalizer_while_something_else_keeps_the_store() {
    let (store, isolate) = (store(), isolate());
    let before = isolate.id().external_bytes();
    let [first, second] = [(); 2].map(|()| Hold::new(&store, isolate.id()).unwrap());
    first.release_if_kept().unwrap();
    assert_eq!((store.exposure(), isolate.id().external_bytes()), (Some((isolate.id(), 1)), before + 4));
    second.release_if_kept().unwrap();
    assert_eq!((store.exposure(), isolate.id().external_bytes()), (None, before));
    assert_eq!((store.reference_count(), store.try_into_unique().unwrap().len()), (1, 4));
}

#[test]
fn the_last_hold_comes_back_unchanged() {
    let (store, isolate) = (store(), isolate());
    let (weak, holds) = (store.downgrade(), [(); 2].map(|()| Hold::new(&store, isolate.id()).unwrap()));
    drop(store);
    let [first, last] = holds.map(Hold::release_if_kept);
    let (Ok(()), Err(last)) = (first, last) else { panic!("only the last one keeps the store") };
    let store = weak.upgrade().expect("the hold keeps it");
    assert_eq!((store.exposure(), last.byte_length()), (Some((isolate.id(), 1)), 4));
    drop(store);
    let last = last.release_if_kept().unwrap_err();
    last.release(|| None);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_hold_on_memory_of_another_kind_comes_back() {
    let isolate = isolate();
    let frozen = FrozenStore::from_owner(&[1_u8][..]).unwrap();
    let hold = Hold::new(frozen.as_store(), isolate.id()).unwrap();
    let hold = hold.release_if_kept().unwrap_err();
    assert_eq!(frozen.reference_count(), 2);
    drop(hold);
    assert_eq!(frozen.reference_count(), 1);
}

#[test]
fn a_part_shares_the_exposure_of_the_whole() {
    let (store, first, second) = (store(), isolate(), isolate());
    let part = store.slice(1..2).unwrap();
    let _exposed = Hold::new(&part, first.id()).unwrap();
    assert!(matches!(Hold::new(&store, second.id()), Err(Error::OtherIsolate { .. })));
    assert!(matches!(store.bytes(), Err(Error::Exposed { .. })));
}

#[test]
fn a_guard_keeps_a_store_from_being_exposed() {
    let (mut store, isolate) = (store(), isolate());
    let other = store.clone();
    let reader = store.bytes().unwrap();
    assert!(matches!(Hold::new(&other, isolate.id()), Err(Error::Busy { holder: Holder::Readers(1), .. })));
    drop(reader);
    let writer = store.bytes_mut().unwrap();
    assert!(matches!(Hold::new(&other, isolate.id()), Err(Error::Busy { holder: Holder::Writer, .. })));
    drop(writer);
    assert!(Hold::new(&other, isolate.id()).is_ok());
    assert_eq!(store.exposure(), None);
}

#[test]
fn guards_inside_the_isolate_are_for_that_isolate() {
    let (store, first, second) = (store(), isolate(), isolate());
    let _exposed = Hold::new(&store, first.id()).unwrap();
    // SAFETY: no script runs: there is no engine.
    let mut writer = unsafe { adapter::bytes_mut_in(&store, first.id()) }.unwrap();
    writer[0] = 5;
    drop(writer);
    // SAFETY: as above.
    assert_eq!(unsafe { adapter::bytes_in(&store, first.id()) }.unwrap()[0], 5);
    // SAFETY: as above.
    assert!(matches!(unsafe { adapter::bytes_in(&store, second.id()) }, Err(Error::OtherIsolate { .. })));
    // SAFETY: as above.
    assert!(matches!(unsafe { adapter::bytes_mut_in(&store, second.id()) }, Err(Error::OtherIsolate { .. })));
    // SAFETY: as above.
    assert!(matches!(unsafe { adapter::cells_in(&store, second.id()) }, Err(Error::OtherIsolate { .. })));
    // SAFETY: as above.
    let copied = unsafe { adapter::copy_from_slice_in(&store, second.id(), 0, &[1]) };
    assert!(matches!(copied, Err(Error::OtherIsolate { .. })));
    // SAFETY: as above.
    unsafe { adapter::copy_from_slice_in(&store, first.id(), 3, &[9]) }.unwrap();
    assert_eq!(store.to_vec().unwrap(), [5, 2, 3, 9]);
}

#[test]
fn a_guard_of_an_isolate_outlives_the_buffer_and_still_excludes_other_isolates() {
    let (store, first, second) = (store(), isolate(), isolate());
    let exposed = Hold::new(&store, first.id()).unwrap();
    // SAFETY: no script runs: there is no engine.
    let guard = unsafe { adapter::bytes_in(&store, first.id()) }.unwrap();
    drop(exposed);
    assert!(matches!(Hold::new(&store, second.id()), Err(Error::Busy { .. })));
    assert_eq!(guard[..], [1, 2, 3, 4]);
    drop(guard);
    assert!(Hold::new(&store, second.id()).is_ok());
}

#[test]
fn cells_keep_copies_and_guards_out_and_may_be_written() {
    let (store, isolate) = (store(), isolate());
    let _exposed = Hold::new(&store, isolate.id()).unwrap();
    // SAFETY: no script runs: there is no engine.
    let cells = unsafe { adapter::cells_in(&store, isolate.id()) }.unwrap();
    cells[0].set(cells[3].get());
    assert!(matches!(store.to_vec(), Err(Error::Busy { holder: Holder::Writer, .. })));
    drop(cells);
    assert_eq!(store.to_vec().unwrap(), [4, 2, 3, 4]);
}

#[test]
fn c22_an_exposed_store_is_not_unique_and_the_error_names_the_isolate() {
    let (store, isolate) = (store(), isolate());
    let exposed = [(); 2].map(|()| Hold::new(&store, isolate.id()).unwrap());
    let other = store.clone();
    let rejected = store.try_into_unique().unwrap_err();
    let message = rejected.to_string();
    let expected = format!(
        "{} has it through 2 live buffers, and 1 other reference lives; first detach or collect them, and drop all other \
         references",
        isolate.id()
    );
    assert!(message.ends_with(&expected), "{message}");
    drop(other);
    let rejected = rejected.into_inner().try_into_unique().unwrap_err();
    let id = isolate.id();
    assert!(
        matches!(rejected.error(), Error::NotUnique { reason: NotUnique::Exposed { isolate, buffers: 2, others: 0 }, .. } if *isolate == id)
    );
    assert!(rejected.to_string().ends_with("has it through 2 live buffers; detach or collect them first"));
    drop(exposed);
    rejected.into_inner().try_into_unique().unwrap();
}

#[test]
fn a_hold_finds_its_store_by_the_address_that_an_engine_has() {
    let (store, isolate) = (store(), isolate());
    let exposed = Hold::new(&store, isolate.id()).unwrap();
    let data = exposed.data().as_ptr().cast_const();
    assert_eq!(exposed.store(data, 4), store);
    assert_eq!(exposed.store(data.wrapping_add(1), 2), store.slice(1..3).unwrap());
    assert_eq!(exposed.store(data.wrapping_add(4), 0).byte_length(), 0);
}

#[test]
#[should_panic = "lies in its store"]
fn a_hold_asserts_the_range_that_an_engine_tells() {
    let (store, isolate) = (store(), isolate());
    let exposed = Hold::new(&store, isolate.id()).unwrap();
    exposed.store(exposed.data().as_ptr().wrapping_add(2), 3);
}

#[test]
fn frozen_memory_is_exposed_in_any_number_of_isolates() {
    let (first, second) = (isolate(), isolate());
    let frozen = FrozenStore::from_owner(&[1u8, 2][..]).unwrap();
    let one = Hold::new(frozen.as_store(), first.id()).unwrap();
    let two = Hold::new(&BackingStore::from(frozen.clone()), second.id()).unwrap();
    assert!(one.is_read_only() && two.is_read_only());
    assert_eq!(BackingStore::from(frozen.clone()).exposure(), None);
    assert_eq!(frozen.reference_count(), 3);
    drop((one, two));
    assert_eq!(frozen.reference_count(), 1);
}

#[test]
fn resizable_memory_has_one_live_buffer() {
    let isolate = isolate();
    let store = BackingStore::from(UniqueStore::resizable(2, 10).unwrap());
    assert_eq!((store.kind(), store.byte_length(), store.max_byte_length()), (StoreKind::RESIZABLE, 2, 10));
    let exposed = Hold::new(&store, isolate.id()).unwrap();
    assert!(matches!(Hold::new(&store, isolate.id()), Err(Error::OneBuffer { .. })));
    exposed.resize(10).unwrap();
    assert_eq!(store.byte_length(), 10);
    exposed.resize(0).unwrap();
    assert_eq!(store.to_vec().unwrap(), [0_u8; 0]);
    drop(exposed);
    assert!(Hold::new(&store, isolate.id()).is_ok());
    assert_eq!(store.try_into_unique().unwrap().max_byte_length(), 10);
}

#[test]
fn resizable_memory_ends_where_it_was_reserved() {
    let isolate = isolate();
    let store = BackingStore::from(UniqueStore::resizable(2, 10).unwrap());
    let error = Hold::new(&store, isolate.id()).unwrap().resize(11).unwrap_err();
    assert!(matches!(error, Error::AboveMaximum { requested: 11, max_byte_length: 10, .. }), "{error}");
}

#[test]
fn manual_memory_is_exposed_until_it_is_freed() {
    let isolate = isolate();
    let memory = ManualMemory::allocate(8).unwrap();
    let exposed = Hold::new(memory.store(), isolate.id()).unwrap();
    assert!(matches!(memory.free(), Err(Error::FreeInUse { holder: Holder::Isolate { buffers: 1, .. }, .. })));
    drop(exposed);
    memory.free().unwrap();
    assert!(matches!(Hold::new(memory.store(), isolate.id()), Err(Error::Freed { .. })));
}

#[test]
fn an_isolate_keeps_the_bytes_of_each_store_once_until_the_last_buffer_goes() {
    let (store, isolate) = (store(), isolate());
    let part = store.slice(..1).unwrap();
    let one = Hold::new(&store, isolate.id()).unwrap();
    let two = Hold::new(&part, isolate.id()).unwrap();
    assert_eq!(isolate.id().external_bytes(), 4);
    drop(one);
    assert_eq!(isolate.id().external_bytes(), 4);
    thread::spawn(move || drop(two)).join().unwrap();
    assert_eq!(isolate.id().external_bytes(), 0);
}

#[test]
fn an_isolate_keeps_no_bytes_that_the_end_of_its_buffers_would_not_free() {
    let isolate = isolate();
    let memory = ManualMemory::allocate(8).unwrap();
    let manual = Hold::new(memory.store(), isolate.id()).unwrap();
    let frozen = FrozenStore::from_owner(&[1u8, 2][..]).unwrap();
    let frozen = Hold::new(frozen.as_store(), isolate.id()).unwrap();
    assert_eq!(isolate.id().external_bytes(), 0);
    drop((manual, frozen));
    assert_eq!(isolate.id().external_bytes(), 0);
    memory.free().unwrap();
}

#[test]
fn an_isolate_keeps_all_that_resizable_memory_reserved() {
    let isolate = isolate();
    let store = BackingStore::from(UniqueStore::resizable(2, 10).unwrap());
    let exposed = Hold::new(&store, isolate.id()).unwrap();
    exposed.resize(5).unwrap();
    assert_eq!(isolate.id().external_bytes(), 10);
    drop(exposed);
    assert_eq!(isolate.id().external_bytes(), 0);
}

#[test]
fn memory_for_a_buffer_of_script_is_exposed_from_its_beginning() {
    let isolate = IsolateRegistration::new("Mine").unwrap();
    let hold = Hold::of_owner(vec![1u8, 2], isolate.id(), Site::here()).unwrap();
    let store = hold.store(hold.data().as_ptr(), 2);
    assert_eq!((store.kind(), store.exposure()), (StoreKind::FIXED, Some((isolate.id(), 1))));
    assert_eq!(isolate.id().external_bytes(), 2);
    drop(hold);
    assert_eq!(store.try_into_unique().unwrap().try_into_owner::<Vec<u8>>().unwrap(), [1, 2]);
    assert_eq!(isolate.id().external_bytes(), 0);
}

#[test]
fn script_memory_without_references_may_become_shared_or_frozen() {
    let isolate = IsolateRegistration::new("Mine").unwrap();
    let hold = || Hold::of_owner(vec![1u8, 2], isolate.id(), Site::here()).unwrap();
    let shared = hold().into_shared().unwrap();
    let store = shared.store(shared.data().as_ptr(), 2);
    assert_eq!((store.kind(), store.exposure(), isolate.id().external_bytes()), (StoreKind::SHARED, None, 0));
    assert!(matches!(store.bytes(), Err(Error::SharedSlice { .. })));
    assert!(shared.into_shared().is_err());

    // SAFETY: nobody writes it.
    let frozen = unsafe { hold().into_frozen() }.unwrap();
    assert_eq!(frozen.store(frozen.data().as_ptr(), 2).bytes().unwrap()[..], [1, 2]);

    let hold = hold();
    let weak = hold.store(hold.data().as_ptr(), 2).downgrade();
    let hold = hold.into_shared().unwrap_err();
    assert_eq!(weak.upgrade().unwrap().kind(), StoreKind::FIXED);
    drop(weak);
    let store = hold.store(hold.data().as_ptr(), 2);
    let hold = hold.into_shared().unwrap_err();
    drop((store, hold));
}

#[test]
fn b12_each_store_knows_whether_its_last_reference_frees_memory() {
    use offheap::{FrozenStore, ManualMemory, ManualOptions, MapMode, Mapped, SharedStore};

    static WORDS: [u64; 2] = [1, 2];
    let path = std::env::temp_dir().join(format!("offheap-frees-{}", std::process::id()));
    std::fs::write(&path, [0; 16]).unwrap();
    let maps = [MapMode::ReadOnly, MapMode::CopyOnWrite].map(|mode| Mapped::open(&path, mode).unwrap());
    std::fs::remove_file(&path).unwrap();
    let manual = ManualMemory::allocate(16).unwrap();
    let shared_manual = ManualMemory::allocate_with(16, ManualOptions { shared: true, ..Default::default() }).unwrap();
    let stays = [
        maps[0].store().clone(),
        maps[1].store().slice(4..8).unwrap(),
        manual.store().clone(),
        shared_manual.store().clone(),
        FrozenStore::from_owner(&WORDS[..]).unwrap().into(),
    ];
    for store in &stays {
        assert!(!adapter::frees_bytes(store), "{store:?}");
    }
    let goes: [BackingStore; 4] = [
        UniqueStore::zeroed(16).unwrap().into(),
        UniqueStore::from_owner(vec![1_u8]).unwrap().into(),
        SharedStore::zeroed(16).unwrap().as_store().clone(),
        FrozenStore::from_owner(std::sync::Arc::<[u64]>::from([1])).unwrap().into(),
    ];
    for store in &goes {
        assert!(adapter::frees_bytes(store), "{store:?}");
    }
    drop(stays);
    manual.free().unwrap();
    shared_manual.free().unwrap();
}
