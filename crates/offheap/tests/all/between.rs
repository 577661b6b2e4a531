//! Copies from store to store: overlapping places, shared memory, and guards in the way.

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{BackingStore, Error, FrozenStore, Holder, ManualMemory, MapMode, Mapped, SharedStore, UniqueStore};

const BYTE_LENGTH: usize = 5000;

fn numbers() -> Vec<u8> {
    (0..BYTE_LENGTH).map(|n| (n * 7 + n / 256) as u8).collect()
}

fn unshared() -> BackingStore {
    BackingStore::from_owner(numbers()).unwrap()
}

fn shared() -> BackingStore {
    SharedStore::from_owner(numbers()).unwrap().into()
}

fn zeroed_shared() -> BackingStore {
    SharedStore::zeroed(BYTE_LENGTH).unwrap().into()
}

fn mapped_file() -> BackingStore {
    let path = std::env::temp_dir().join(format!("offheap-between-{}", std::process::id()));
    std::fs::write(&path, numbers()).unwrap();
    let mapped = Mapped::open(&path, MapMode::ReadOnly).unwrap();
    std::fs::remove_file(&path).unwrap();
    mapped.into()
}

#[test]
fn every_kind_is_copied_into_unshared_and_shared_memory() {
    let manual = ManualMemory::allocate(BYTE_LENGTH).unwrap();
    let mut sources = vec![unshared(), shared(), mapped_file(), manual.store().clone()];
    sources[3].bytes_mut().unwrap().copy_from_slice(&numbers());
    sources.push(FrozenStore::from_owner(numbers()).unwrap().into());
    let mut resizable = UniqueStore::resizable(BYTE_LENGTH, 1 << 20).unwrap();
    resizable.copy_from_slice(&numbers());
    sources.push(resizable.into());
    for from in &sources {
        for into in [UniqueStore::zeroed(BYTE_LENGTH).unwrap().into(), zeroed_shared()] {
            for byte_length in [0, 1, 1023, 1024, 1025, 4096] {
                into.copy_from_store(3, from, 5..5 + byte_length).unwrap();
                assert_eq!(into.to_vec().unwrap()[3..3 + byte_length], numbers()[5..5 + byte_length], "{from:?}");
            }
            into.copy_from_store(0, from, ..).unwrap();
            assert_eq!(into.to_vec().unwrap(), numbers(), "{from:?}");
        }
    }
    drop(sources);
    manual.free().unwrap();
}

#[test]
fn overlapping_places_of_one_store_are_moved() {
    for make in [unshared, shared] {
        for (offset, start) in
            [(0, 1), (1, 0), (0, 1000), (1000, 0), (7, 2000), (2000, 7), (5, 5), (1024, 0), (0, 1024)]
        {
            for byte_length in [0, 1, 1500, 2048, 3000] {
                let store = make();
                store.copy_from_store(offset, &store, start..start + byte_length).unwrap();
                let mut expected = numbers();
                expected.copy_within(start..start + byte_length, offset);
                assert!(store.to_vec().unwrap() == expected, "{offset} {start} {byte_length} of {store:?}");
            }
        }
    }
}

#[test]
fn parts_of_one_store_are_the_same_memory() {
    for make in [unshared, shared] {
        let store = make();
        let (first, second) = (store.slice(10..3010).unwrap(), store.slice(1000..).unwrap());
        second.copy_from_store(500, &first, 100..2900).unwrap();
        let mut expected = numbers();
        expected.copy_within(110..2910, 1500);
        assert!(store.to_vec().unwrap() == expected, "{store:?}");
    }
}

#[test]
fn a_range_outside_either_store_is_an_error_that_names_it_and_writes_nothing() {
    for make in [unshared, shared] {
        let (small, store) = (BackingStore::from_owner(vec![1u8, 2, 3, 4]).unwrap(), make());
        for (offset, range) in [(0, 3..5), (0, 5..5), (0, usize::MAX..usize::MAX), (0, 0..usize::MAX)] {
            let error = store.copy_from_store(offset, &small, range.clone()).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { store, .. } if store == small.id()), "{range:?}: {error}");
        }
        #[expect(clippy::reversed_empty_ranges, reason = "an error and no panic")]
        let error = store.copy_from_store(0, &small, 3..2).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
        assert!(matches!(store.copy_from_store(0, &small, 5..), Err(Error::OutOfRange { .. })));
        for offset in [BYTE_LENGTH - 3, BYTE_LENGTH + 1, usize::MAX] {
            let error = store.copy_from_store(offset, &small, ..).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { store: id, .. } if id == store.id()), "{offset}: {error}");
            let error = store.copy_from_store(offset, &store, ..4).unwrap_err();
            assert!(matches!(error, Error::OutOfRange { .. }), "{offset}: {error}");
        }
        assert_eq!(store.to_vec().unwrap(), numbers());
    }
}

#[test]
fn a_part_that_is_out_of_bounds_has_nothing_to_copy_and_no_room() {
    let store = BackingStore::from(UniqueStore::resizable(64, 4096).unwrap());
    let part = store.slice(32..).unwrap();
    store.clone().resize(16).unwrap();
    for into in [UniqueStore::zeroed(64).unwrap().into(), zeroed_shared(), store] {
        assert!(matches!(into.copy_from_store(0, &part, ..1), Err(Error::OutOfRange { .. })), "{into:?}");
        assert!(matches!(part.copy_from_store(0, &into, ..1), Err(Error::OutOfRange { .. })), "{into:?}");
    }
}

#[test]
fn guards_in_the_way_refuse_the_copy_and_nothing_is_written() {
    let (mut store, other) = (unshared(), BackingStore::from(UniqueStore::zeroed(8).unwrap()));
    let reader = store.bytes().unwrap();
    let error = store.copy_from_store(0, &other, ..).unwrap_err();
    assert!(matches!(error, Error::Busy { store: id, holder: Holder::Readers(1), .. } if id == store.id()), "{error}");
    let error = store.copy_from_store(0, &store, 8..16).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    // Readers of the source are welcome.
    other.copy_from_store(0, &store, ..8).unwrap();
    assert_eq!(reader[..], numbers());
    drop(reader);
    let clone = store.clone();
    let writer = store.bytes_mut().unwrap();
    for into in [&other, &zeroed_shared()] {
        let error = into.copy_from_store(0, &clone, ..8).unwrap_err();
        assert!(matches!(error, Error::Busy { holder: Holder::Writer, .. }), "{error}");
    }
    drop(writer);
    other.copy_from_store(0, &clone, ..8).unwrap();
}

#[test]
fn exposed_memory_is_copied_from_and_written_only_if_it_is_shared() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    let (store, other) = (unshared(), BackingStore::from(UniqueStore::zeroed(8).unwrap()));
    let hold = Hold::new(&store, isolate.id()).unwrap();
    let error = store.copy_from_store(0, &other, ..).unwrap_err();
    assert!(matches!(error, Error::Exposed { attempted: "write", .. }), "{error}");
    other.copy_from_store(0, &store, ..8).unwrap();
    assert_eq!(other.to_vec().unwrap(), numbers()[..8]);
    let shared = zeroed_shared();
    let shared_hold = Hold::new(&shared, isolate.id()).unwrap();
    shared.copy_from_store(0, &store, ..).unwrap();
    assert_eq!(shared.to_vec().unwrap(), numbers());
    drop((hold, shared_hold));
}

#[test]
fn memory_that_nobody_may_write_is_not_written_and_freed_memory_is_not_used() {
    let other = unshared();
    let frozen = BackingStore::from(FrozenStore::from_owner("frozen").unwrap());
    assert!(matches!(frozen.copy_from_store(0, &other, ..1), Err(Error::ReadOnly { .. })));
    assert!(matches!(frozen.copy_from_store(0, &frozen, ..1), Err(Error::ReadOnly { .. })));
    assert!(matches!(mapped_file().copy_from_store(0, &other, ..1), Err(Error::ReadOnly { .. })));
    let memory = ManualMemory::allocate(8).unwrap();
    let freed = memory.store().clone();
    memory.free().unwrap();
    for byte_length in [0, 1] {
        for into in [&other, &zeroed_shared(), &freed] {
            assert!(matches!(into.copy_from_store(0, &freed, ..byte_length), Err(Error::Freed { .. })), "{into:?}");
        }
        assert!(matches!(freed.copy_from_store(0, &other, ..byte_length), Err(Error::Freed { .. })));
    }
}

#[test]
fn two_threads_that_copy_between_the_same_shared_stores_never_fail() {
    let stores = [shared(), shared()];
    std::thread::scope(|scope| {
        for (into, from) in [(0, 1), (1, 0)] {
            let stores = &stores;
            scope.spawn(move || {
                let into = SharedStore::try_from(stores[into].clone()).unwrap();
                for shift in 0..100 {
                    into.copy_from_store(shift, &stores[from], shift..).unwrap();
                }
            });
        }
    });
    for store in stores {
        assert_eq!(store.to_vec().unwrap(), numbers());
    }
}
