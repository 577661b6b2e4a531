//! Externalizing buffers that script made, and buffers over stores.

use offheap_v8::offheap::{self, BackingStore, FrozenStore, StoreKind};
use offheap_v8::{BackingStoreExt, Engine, Error, Isolate, ManuallyExternalizedBuffer, ScopeExt, v8};

use crate::common::{counted, in_own_scope, isolate, run, set};

#[test]
fn script_made_memory_is_taken_over_where_it_is() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(100); new Uint8Array(b).fill(7); b").unwrap();
        let store = scope.externalize(&buffer).unwrap();
        let address = scope.with_v8(|scope| {
            let buffer: v8::Local<'_, v8::ArrayBuffer> = run(scope, "b").try_into().unwrap();
            buffer.data().unwrap().as_ptr()
        });
        assert_eq!(store.as_ptr(), address);
        assert_eq!(store.kind(), StoreKind::FIXED);
        for source in ["b", "new Uint8Array(b, 5, 6)", "new DataView(b)"] {
            let again = scope.eval_buffer(source).unwrap();
            assert_eq!(scope.externalize(&again).unwrap(), store, "{source}");
        }
        scope.eval::<()>("new Uint8Array(b)[1] = 8; undefined").unwrap();
        assert_eq!(store.to_vec().unwrap()[..3], [7, 8, 7]);
        scope.store_bytes_mut(&store).unwrap()[2] = 9;
        assert_eq!(scope.eval::<u32>("new Uint8Array(b)[2]").unwrap(), 9);
        // The store moves to another buffer, and stays the same store.
        let moved = scope.eval_buffer("globalThis.c = b.transfer()").unwrap();
        assert_eq!(scope.externalize(&moved).unwrap(), store);
    });
}

#[test]
fn memory_of_v8_counts_as_exposed_until_v8_let_go_of_it() {
    let mut isolate = isolate();
    let id = isolate.id();
    let store = isolate.enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(64)").unwrap();
        let store = scope.externalize(&buffer).unwrap();
        assert_eq!(store.exposure(), Some((id, 1)));
        assert!(matches!(store.bytes(), Err(offheap::Error::Exposed { .. })));
        drop(buffer);
        scope.collect();
        assert_eq!(store.exposure(), Some((id, 1)), "script has it");
        let transferred = scope.eval_buffer("globalThis.c = b.transfer()").unwrap();
        drop(transferred);
        scope.collect();
        assert_eq!(store.exposure(), Some((id, 1)), "under another name");
        scope.eval::<()>("delete globalThis.c").unwrap();
        scope.collect();
        store
    });
    assert_eq!(store.exposure(), None);
    assert_eq!(isolate.id().external_bytes(), 0);
    // The bytes now belong to Rust, and the last reference frees V8's block.
    let mut unique = store.try_into_unique().unwrap();
    unique.fill(3);
    drop(isolate);
    assert_eq!(unique[..], [3; 64]);
}

#[test]
fn memory_of_v8_moves_to_another_isolate_by_detaching() {
    let (mut first, mut second) = (isolate(), isolate());
    let (store, buffer) = first.enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(8); new Uint8Array(b)[0] = 5; b").unwrap();
        (scope.externalize(&buffer).unwrap(), buffer.into_handle())
    });
    second.enter(|scope| {
        let error = scope.expose(&store).unwrap_err();
        assert!(matches!(error, Error::Memory(offheap::Error::OtherIsolate { .. })), "{error}");
    });
    first.enter(|scope| scope.detach(&buffer, None)).unwrap();
    second.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("b", &buffer).unwrap();
        assert_eq!(scope.eval::<u32>("new Uint8Array(b)[0]").unwrap(), 5);
        assert_eq!(scope.externalize(&buffer).unwrap(), store);
    });
}

#[test]
fn empty_buffers_give_empty_stores_and_detached_ones_an_error() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(0)").unwrap();
        let store = scope.externalize(&buffer).unwrap();
        assert_eq!(store.byte_length(), 0);
        assert!(!store.as_ptr().is_null());
        assert_eq!(scope.externalize(&buffer).unwrap(), store);
        assert!(scope.bytes(&buffer).unwrap().is_empty());
        assert!(scope.bytes_mut(&buffer).unwrap().is_empty());
        let buffer = scope.eval_buffer("(() => { const b = new ArrayBuffer(8); b.transfer(); return b })()").unwrap();
        assert!(matches!(scope.externalize(&buffer), Err(Error::Detached { .. })));
        assert!(matches!(scope.externalize_buffer(&buffer), Err(Error::Detached { .. })));
        assert!(matches!(scope.bytes(&buffer), Err(Error::Detached { .. })));
        assert!(matches!(scope.bytes_mut(&buffer), Err(Error::Detached { .. })));
        // V8's own `GetBackingStore`.
        assert_eq!(ManuallyExternalizedBuffer::new(buffer.into_handle()).unwrap().store().byte_length(), 0);
        let shared = scope.eval_buffer("new SharedArrayBuffer(0)").unwrap();
        assert!(scope.externalize(&shared).unwrap().kind().is_shared());
    });
}

#[test]
fn two_buffers_over_one_store_are_one_memory() {
    let mut isolate = isolate();
    let (store, dropped) = counted(vec![0; 16]);
    isolate.enter(|scope| {
        let (first, second) = (scope.expose(&store).unwrap(), scope.expose(&store).unwrap());
        scope.set_global("a", &first).unwrap();
        scope.set_global("b", &second).unwrap();
        assert!(scope.eval::<bool>("new Uint8Array(a)[3] = 4; a !== b && new Uint8Array(b)[3] === 4").unwrap());
        assert_eq!(scope.externalize(&first).unwrap(), scope.externalize(&second).unwrap());
        assert_eq!(store.exposure().unwrap().1, 2);
        scope.detach(&first, None).unwrap();
        assert_eq!(store.exposure().unwrap().1, 1);
        assert_eq!(scope.eval::<u32>("new Uint8Array(b)[3]").unwrap(), 4);
        scope.detach(&second, None).unwrap();
    });
    assert_eq!(store.bytes().unwrap()[3], 4);
    drop(store);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn shared_memory_of_script_outlives_its_isolate_and_moves_on() {
    let (mut first, mut second) = (isolate(), isolate());
    let store = first.enter(|scope| {
        let buffer =
            scope.eval_buffer("globalThis.s = new SharedArrayBuffer(16); new Uint8Array(s)[1] = 6; s").unwrap();
        assert!(scope.state(&buffer).unwrap().shared);
        scope.externalize(&buffer).unwrap()
    });
    assert!(store.kind().is_shared(), "{:?}", store.kind());
    second.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("s", &buffer).unwrap();
        assert_eq!(scope.eval::<u32>("Atomics.add(new Uint8Array(s), 1, 1)").unwrap(), 6);
        assert_eq!(scope.externalize(&buffer).unwrap(), store);
    });
    assert_eq!(first.enter(|scope| scope.eval::<u32>("new Uint8Array(s)[1]")).unwrap(), 7);
    drop((first, second));
    assert_eq!(store.to_vec().unwrap()[1], 7);
}

#[test]
fn immutable_buffers_of_script_are_frozen_stores() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let buffer =
            scope.eval_buffer("globalThis.b = new Uint8Array([1, 2, 3]).buffer.transferToImmutable()").unwrap();
        assert!(scope.state(&buffer).unwrap().immutable);
        let store = scope.externalize(&buffer).unwrap();
        assert_eq!((store.kind(), store.to_vec().unwrap()), (StoreKind::FROZEN, vec![1, 2, 3]));
        assert!(matches!(scope.store_bytes_mut(&store), Err(Error::Memory(offheap::Error::ReadOnly { .. }))));
    });
}

#[test]
fn an_immutable_buffer_beside_one_that_script_writes_is_not_frozen() {
    in_own_scope(|scope| {
        let block = v8::ArrayBuffer::new_backing_store_from_vec(vec![1; 8]).make_shared();
        for name in ["written", "moved"] {
            let buffer = v8::ArrayBuffer::with_backing_store(scope, &block);
            set(scope, name, buffer.into());
        }
        drop(block);
        let immutable = run(scope, "globalThis.immutable = moved.transferToImmutable()");
        let store = BackingStore::externalize(scope, immutable).unwrap();
        let store = FrozenStore::try_from(store).expect_err("script writes it").into_inner();
        assert!(matches!(store.bytes(), Err(offheap::Error::Exposed { .. })));
        run(scope, "new Uint8Array(written).fill(2)");
        assert_eq!(store.to_vec().unwrap(), [2; 8]);
        let written = run(scope, "written");
        assert_eq!(BackingStore::externalize(scope, written).unwrap(), store);
    });
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let store = scope.with_v8(|scope| {
            let buffer: v8::Local<'_, v8::ArrayBuffer> =
                run(scope, "globalThis.moved = new ArrayBuffer(8)").try_into().unwrap();
            let block = buffer.get_backing_store();
            let written = v8::ArrayBuffer::with_backing_store(scope, &block);
            drop(block);
            set(scope, "written", written.into());
            let immutable = run(scope, "moved.transferToImmutable()");
            BackingStore::externalize(scope, immutable).unwrap()
        });
        assert_eq!(store.kind(), StoreKind::FIXED);
    });
}

#[test]
fn a_block_of_the_programs_own_is_taken_over_too() {
    in_own_scope(|scope| {
        let block = v8::ArrayBuffer::new_backing_store_from_vec(vec![1, 2, 3, 4]).make_shared();
        let buffer = v8::ArrayBuffer::with_backing_store(scope, &block);
        let store = BackingStore::externalize(scope, buffer.into()).unwrap();
        assert_eq!((store.as_ptr(), store.to_vec().unwrap()), (block.data().unwrap().as_ptr(), vec![1, 2, 3, 4]));
        offheap_v8::detach(scope, buffer.into(), None).unwrap();
        assert!(store.exposure().is_some(), "the program has the block");
        drop(block);
        offheap_v8::collect(scope);
        assert_eq!(store.exposure(), None);
    });
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
