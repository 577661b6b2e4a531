//! `ManuallyExternalizedBuffer`: its accessors, and a drop that frees nothing.

use crate::common::counted;
use offheap_quickjs::offheap::{self, BackingStore, ManualMemory};
use offheap_quickjs::{Engine, Error, Isolate, ManuallyExternalizedBuffer};

#[test]
fn destructor_drops_a_reference_and_frees_nothing() {
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        // Memory with an owner: the drop removes one reference, and the owner stays alive while there is another.
        let (store, dropped) = counted(vec![7; 64]);
        let buffer = scope.expose(&store).unwrap().into_handle();
        let external = ManuallyExternalizedBuffer::new(buffer.clone()).unwrap();
        assert_eq!(store.reference_count(), 3, "ours, the buffer's, the external one's");
        drop(external);
        assert_eq!(store.reference_count(), 2);
        assert_eq!(dropped.get(), 0);
        scope.detach(&buffer, None).unwrap();
        assert_eq!((store.reference_count(), dropped.get()), (1, 0));
        drop(store);
        assert_eq!(dropped.get(), 1, "the last reference frees it, once");

        // Manual memory: even the last reference does not free it.
        let memory = ManualMemory::allocate(64).unwrap();
        let buffer = scope.expose(memory.store()).unwrap().into_handle();
        drop(ManuallyExternalizedBuffer::new(buffer.clone()).unwrap());
        scope.detach(&buffer, None).unwrap();
        assert_eq!(memory.freed(), None);
        assert_eq!(memory.store().to_vec().unwrap(), [0; 64]);
        memory.free().unwrap();
    });
}

#[test]
fn the_last_reference_may_be_the_external_one() {
    let mut isolate = Isolate::new().unwrap();
    let (store, dropped) = counted(vec![1, 2, 3, 4, 5, 6, 7, 8]);
    let external = isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap().into_handle();
        ManuallyExternalizedBuffer::new(buffer).unwrap()
    });
    let address = store.as_ptr();
    drop(store);
    drop(isolate);
    assert_eq!(external.backing_store(), address);
    assert_eq!(external.store().to_vec().unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(dropped.get(), 0);
    drop(external);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn a_detached_buffer_gives_a_new_empty_store_each_time() {
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(8)").unwrap().into_handle();
        scope.detach(&buffer, None).unwrap();
        let first = ManuallyExternalizedBuffer::new(buffer.clone()).unwrap();
        let second = ManuallyExternalizedBuffer::new(buffer).unwrap();
        assert_eq!(first.store().byte_length(), 0);
        assert!(!first.backing_store().is_null());
        assert_ne!(first.store(), second.store());
    });
}

#[test]
fn a_handle_that_cannot_be_externalized_comes_back() {
    let mut isolate = Isolate::new().unwrap();
    let buffer = isolate.enter(|scope| scope.eval_buffer("new ArrayBuffer(8)").unwrap().into_handle());
    let id = isolate.id();
    drop(isolate);
    let (error, buffer) = ManuallyExternalizedBuffer::new(buffer).unwrap_err().into_parts();
    assert!(matches!(error, Error::IsolateGone), "{error}");
    assert_eq!(buffer.isolate(), id);
}

#[test]
fn c21_the_type_and_the_verb_record_their_caller() {
    #[track_caller]
    fn here(store: &BackingStore) {
        let caller = std::panic::Location::caller();
        let offheap::Site::Native(place) = store.site() else { panic!("{} is a place in Rust", store.site()) };
        assert_eq!((place.file(), place.line()), (caller.file(), caller.line()));
    }
    let mut engine = Isolate::new().unwrap();
    let first = engine.allocate(8, None).unwrap();
    here(&engine.externalize(&first).unwrap());
    let second = engine.allocate(8, Some(16)).unwrap();
    here(ManuallyExternalizedBuffer::new(second).unwrap().store());
    let third = engine.allocate_shared(8, None).unwrap();
    here(ManuallyExternalizedBuffer::new(third).unwrap().store());
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(8)").unwrap();
        here(&scope.externalize(&buffer).unwrap());
    });
}
