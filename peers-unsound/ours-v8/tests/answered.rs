//! Programs that work on V8, while their counterparts with the crate `v8` go wrong. There is one test, because on
//! machines with memory-protection keys V8 cannot run on threads that are older than its start.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use adapter::offheap::{BackingStore, FrozenStore, UniqueStore};
use adapter::{Exposure, Isolate};

#[global_allocator]
static SIZES: sizes::Sizes = sizes::Sizes;

#[test]
fn what_v8_answers() {
    memory_is_freed_with_the_size_it_was_allocated_with();
    a_buffer_that_script_shrinks_leaves_its_store_readable();
    no_write_reaches_memory_that_is_frozen();
    a_store_is_in_one_isolate_at_a_time();
    a_store_outlives_the_engine_and_the_thread_that_made_it();
    exposing_frees_once();
}

/// Counterpart of `v8/src/wrong_size.rs`.
fn memory_is_freed_with_the_size_it_was_allocated_with() {
    let mut isolate = Isolate::new().unwrap();
    let store = BackingStore::from(UniqueStore::from_owner(vec![1_u32, 2, 3]).unwrap());
    isolate.enter(|scope| {
        scope.expose(&store).unwrap();
    });
    drop((store, isolate));
    assert_eq!(sizes::wrong_size(), None);
}

/// Counterpart of `v8/src/resize.rs`: memory that script may shrink is read only where the read cannot fault.
fn a_buffer_that_script_shrinks_leaves_its_store_readable() {
    Isolate::new().unwrap().enter(|scope| {
        let source = "globalThis.buffer = new ArrayBuffer(1 << 20, { maxByteLength: 1 << 20 })";
        let buffer = scope.eval_buffer(source).unwrap();
        let store = scope.externalize(&buffer).unwrap();
        scope.eval::<()>("buffer.resize(16)").unwrap();
        assert!(store.to_vec().is_err(), "script may take it away");
        assert_eq!(scope.store_bytes(&store).unwrap()[..], [0; 16]);
    });
}

/// Counterpart of `v8/src/immutable.rs`.
fn no_write_reaches_memory_that_is_frozen() {
    let owner: Arc<[u8]> = Arc::from([7_u8; 8]);
    let store = FrozenStore::from_owner(owner.clone()).unwrap();
    Isolate::new().unwrap().enter(|scope| {
        let (buffer, exposure) = scope.expose_or_copy(&store.clone().into()).unwrap();
        assert_eq!(exposure, Exposure::External);
        scope.set_global("buffer", &buffer).unwrap();
        let thrown = scope.eval::<()>("Atomics.store(new Uint8Array(buffer), 0, 9)").unwrap_err().to_string();
        assert!(thrown.contains("TypeError"), "{thrown}");
    });
    assert_eq!(owner[0], 7);
}

/// Counterpart of `v8/src/race.rs`, with two engines at once.
fn a_store_is_in_one_isolate_at_a_time() {
    let store = BackingStore::from(UniqueStore::zeroed(64).unwrap());
    let second =
        || Isolate::new().unwrap().enter(|scope| scope.expose(&store).map(drop).map_err(|error| error.to_string()));
    let refused = Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("buffer", &buffer).unwrap();
        std::thread::scope(|threads| threads.spawn(second).join().unwrap()).unwrap_err()
    });
    assert!(refused.contains("isolate"), "{refused}");
    second().expect("the first isolate has ended");
}

/// Counterpart of `v8/src/borrowed.rs`, and `napi/programs/worker.js`.
fn a_store_outlives_the_engine_and_the_thread_that_made_it() {
    let store = std::thread::spawn(|| {
        Isolate::new().unwrap().enter(|scope| {
            let buffer = scope.eval_buffer("new Uint8Array(64 << 20).fill(7).buffer").unwrap();
            scope.externalize(&buffer).unwrap()
        })
    });
    let store = store.join().unwrap();
    assert_eq!((store.to_vec().unwrap()[(64 << 20) - 1], store.exposure()), (7, None));
}

/// Counterpart of `v8/src/leak.rs`, and `napi/src/lib.rs`, `expose_by_reference`.
fn exposing_frees_once() {
    let freed = Arc::new(AtomicUsize::new(0));
    let mut isolate = Isolate::new().unwrap();
    for _ in 0..100 {
        let freed = freed.clone();
        let count = move |_, _| {
            freed.fetch_add(1, Ordering::SeqCst);
        };
        let store = UniqueStore::from_owner_with_deleter(vec![1_u8; 1 << 20], count).unwrap();
        isolate.enter(|scope| drop(scope.expose(&BackingStore::from(store)).unwrap()));
    }
    drop(isolate);
    assert_eq!(freed.load(Ordering::SeqCst), 100);
}
