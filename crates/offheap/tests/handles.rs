//! Events of native handles, with the feature `track-handles` and without it. A process has one observer, so this has a file
//! of its own.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use offheap::adapter::{self, Hold, IsolateRegistration};
use offheap::observe::{Event, EventKind, Observer, ReferenceId, TRACKS_HANDLES, set_observer};
use offheap::{BackingStore, FrozenStore, ManualMemory, SharedStore, Site, StoreId, UniqueStore};

struct Recorder(Mutex<Vec<(StoreId, EventKind)>>);

thread_local!(static PANICS: Cell<bool> = const { Cell::new(false) });

impl Observer for Recorder {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push((event.store, event.kind));
        if matches!(event.kind, EventKind::Referenced { .. } | EventKind::Dropped { .. }) && PANICS.take() {
            panic!("observer");
        }
    }
}

static RECORDER: Recorder = Recorder(Mutex::new(Vec::new()));

fn observe() {
    // The first test sets it.
    let _ = set_observer(&RECORDER);
}

fn kinds(store: StoreId) -> Vec<EventKind> {
    let records = RECORDER.0.lock().unwrap();
    records.iter().filter(|(id, _)| *id == store).map(|(_, kind)| *kind).collect()
}

/// A live handle: its number, the line that made it, and its range.
type Live = (ReferenceId, u32, usize, usize);

/// The handles of a store that were told and not dropped, in order.
fn live(store: StoreId) -> Vec<Live> {
    let mut live: Vec<Live> = Vec::new();
    for kind in kinds(store) {
        match kind {
            EventKind::Referenced { reference, at, from, to } => {
                let Site::Native(place) = at else { panic!("not a line of Rust: {at}") };
                assert!(place.file().ends_with("handles.rs"), "{at}");
                live.push((reference, place.line(), from, to));
            }
            EventKind::Dropped { reference } => {
                let before = live.len();
                live.retain(|handle| handle.0 != reference);
                assert_eq!(live.len(), before - 1, "a handle was dropped that was not there");
            }
            _ => {}
        }
    }
    live
}

/// Checks the lines and ranges of a store's live handles. Without the feature there are none.
#[track_caller]
fn assert_live(store: StoreId, expected: &[(u32, usize, usize)]) {
    let told: Vec<_> = live(store).into_iter().map(|(_, line, from, to)| (line, from, to)).collect();
    assert_eq!(told, if TRACKS_HANDLES { expected } else { &[] });
}

const ALL: usize = usize::MAX;

#[test]
fn each_handle_is_told_with_its_place_and_its_range() {
    observe();
    let line = line!();
    let store = BackingStore::from_owner(vec![0u8; 16]).unwrap();
    let id = store.id();
    let clone = store.clone();
    let part = store.slice(4..12).unwrap();
    let nested = part.slice(2..).unwrap();
    let elements = store.slice_elements::<u32>(8, 1).unwrap();
    let weak = nested.downgrade();
    let upgraded = weak.upgrade().unwrap();
    let cursor = store.cursor();
    let expected = [
        (line + 1, 0, ALL),
        (line + 3, 0, ALL),
        (line + 4, 4, 12),
        (line + 5, 6, 12),
        (line + 6, 8, 12),
        (line + 8, 6, 12),
        (line + 9, 0, ALL),
    ];
    assert_live(id, &expected);
    drop((clone, part, elements, cursor));
    assert_live(id, &[expected[0], expected[3], expected[5]]);
    drop((nested, upgraded, store));
    assert_live(id, &[]);
    assert_eq!(kinds(id).last(), Some(&EventKind::Freed { at: None }), "after its last handle was dropped");
}

#[test]
fn guards_copies_and_refusals_are_no_handles() {
    observe();
    let mut store = BackingStore::from(UniqueStore::resizable(8, 16).unwrap());
    let id = store.id();
    let before = kinds(id).len();
    drop(store.bytes().unwrap());
    drop(store.bytes_mut().unwrap());
    store.to_vec().unwrap();
    store.copy_from_store(0, &store.clone(), 4..8).unwrap();
    store.slice(9..10).unwrap_err();
    store.resize(17).unwrap_err();
    let of_the_clone = if TRACKS_HANDLES { 2 } else { 0 };
    assert_eq!(kinds(id).len(), before + of_the_clone);
}

#[test]
fn a_store_that_changes_its_type_has_one_handle() {
    observe();
    let line = line!();
    let store = UniqueStore::zeroed(4).unwrap();
    let id = store.id();
    let store = BackingStore::from(store);
    assert_live(id, &[(line + 1, 0, ALL)]);
    let unique = store.try_into_unique().unwrap();
    assert_eq!(live(id).len(), usize::from(TRACKS_HANDLES));
    let store = BackingStore::from(unique);
    let other = store.clone();
    let store = store.try_into_unique().unwrap_err().into_inner();
    assert_live(id, &[(line + 8, 0, ALL), (line + 9, 0, ALL)]);
    drop((store, other));
    assert_live(id, &[]);
}

#[test]
fn handles_of_each_type_are_told() {
    observe();
    let line = line!();
    let frozen = FrozenStore::from_owner("name=value").unwrap();
    let frozen_part = frozen.slice(5..).unwrap();
    let frozen_clone = frozen_part.clone();
    assert_live(frozen.id(), &[(line + 1, 0, ALL), (line + 2, 5, 10), (line + 3, 5, 10)]);
    let shared = SharedStore::zeroed(8).unwrap();
    let shared_part = shared.slice(4..).unwrap();
    let shared_clone = shared.clone();
    assert_live(shared.as_store().id(), &[(line + 5, 0, ALL), (line + 6, 4, 8), (line + 7, 0, ALL)]);
    let id = frozen.id();
    drop((frozen, frozen_part, frozen_clone, shared_part, shared_clone));
    assert_live(id, &[]);
    assert_live(shared.as_store().id(), &[(line + 5, 0, ALL)]);
}

#[test]
fn handles_to_manual_memory_are_told_one_by_one() {
    observe();
    let line = line!();
    let memory = ManualMemory::allocate(8).unwrap();
    let id = memory.store().id();
    let other = memory.clone();
    let store = memory.store().clone();
    assert_live(id, &[(line + 1, 0, ALL), (line + 3, 0, ALL), (line + 4, 0, ALL)]);
    drop(memory);
    assert_live(id, &[(line + 3, 0, ALL), (line + 4, 0, ALL)]);
    other.free().unwrap();
    drop((other, store));
    assert_live(id, &[]);
}

#[test]
fn a_handle_that_a_buffer_gives_is_told_and_the_buffer_is_none() {
    observe();
    let isolate = IsolateRegistration::new("Test").unwrap();
    let hold = Hold::of_owner(vec![0u8; 8], isolate.id(), Site::here()).unwrap();
    hold.tell_made(isolate.id());
    let line = line!() + 1;
    let part = hold.store(hold.data().as_ptr().wrapping_add(2), 3);
    let id = part.id();
    assert_live(id, &[(line, 2, 5)]);
    let whole = adapter::on_behalf_of_caller(|| hold.store(hold.data().as_ptr(), 8));
    assert_live(id, &[(line, 2, 5), (line + 3, 0, ALL)]);
    drop((part, whole));
    assert_live(id, &[]);
    drop(hold);
    assert_eq!(kinds(id).last(), Some(&EventKind::Freed { at: None }));
}

#[test]
fn a_panic_of_the_observer_loses_no_handle_and_frees_nothing_early() {
    observe();
    let store = BackingStore::from_owner(vec![1u8]).unwrap();
    let memory = ManualMemory::allocate(1).unwrap();
    let panics = |step: &dyn Fn()| {
        PANICS.set(true);
        let panicked = catch_unwind(AssertUnwindSafe(step)).is_err();
        PANICS.set(false);
        assert_eq!(panicked, TRACKS_HANDLES);
    };
    panics(&|| drop(store.clone()));
    panics(&|| drop(store.slice(..)));
    panics(&|| drop(memory.clone()));
    let (clone, manual) = (Cell::new(Some(store.clone())), Cell::new(Some(memory.clone())));
    panics(&|| drop(clone.take()));
    panics(&|| drop(manual.take()));
    assert_eq!(store.reference_count(), 1);
    assert_eq!(live(store.id()).len(), usize::from(TRACKS_HANDLES));
    memory.free().unwrap();
    assert_eq!(live(memory.store().id()).len(), usize::from(TRACKS_HANDLES));
    store.try_into_unique().unwrap();
}

#[test]
fn a_handle_has_its_number_only_with_the_feature() {
    let words = if TRACKS_HANDLES { 4 } else { 3 };
    assert_eq!(size_of::<BackingStore>(), words * size_of::<usize>());
}
