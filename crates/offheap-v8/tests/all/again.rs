//! Exposing V8's own resizable memory again uses V8's own block, so all its buffers have the same length.

use offheap_v8::offheap::{BackingStore, SharedStore, StoreKind};
use offheap_v8::{Error, Exposure, Isolate, Scope};

use crate::common::isolate;

const GROWABLE: &str = "globalThis.shared = new SharedArrayBuffer(8, { maxByteLength: 100000 })";

fn growable(scope: &mut Scope<'_>) -> SharedStore {
    let buffer = scope.eval_buffer(GROWABLE).unwrap();
    SharedStore::try_from(scope.externalize(&buffer).unwrap()).unwrap()
}

/// Makes a buffer over the store, and a global variable for it.
fn expose(scope: &mut Scope<'_>, store: &BackingStore) {
    let buffer = scope.expose(store).unwrap();
    let state = scope.state(&buffer).unwrap();
    assert_eq!((state.resizable, state.max_byte_length), (true, 100_000));
    assert_eq!(scope.externalize(&buffer).unwrap(), *store);
    scope.set_global("shared", &buffer).unwrap();
}

fn length(scope: &mut Scope<'_>) -> u32 {
    scope.eval("new Uint8Array(shared).length").unwrap()
}

#[test]
fn growth_is_seen_in_both_isolates_whoever_grows() {
    let (mut first, mut second) = (isolate(), isolate());
    let store = first.enter(growable);
    second.enter(|scope| expose(scope, store.as_store()));
    first.enter(|scope| scope.eval::<()>("shared.grow(5000); new Uint8Array(shared)[4999] = 7; undefined").unwrap());
    second.enter(|scope| {
        assert_eq!(length(scope), 5000);
        assert_eq!(scope.eval::<u32>("new Uint8Array(shared)[4999]").unwrap(), 7);
        scope.eval::<()>("shared.grow(100000)").unwrap();
    });
    assert_eq!((first.enter(length), store.byte_length()), (100_000, 100_000));
}

#[test]
fn growth_is_seen_on_two_threads() {
    let mut first = isolate();
    let store = first.enter(growable);
    let there = store.clone();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            isolate().enter(|scope| {
                expose(scope, there.as_store());
                // Waits for the other side to grow it, then for the other side to see that this side grew it.
                scope
                    .eval::<()>(
                        "while (shared.byteLength < 4096) Atomics.wait(new Int32Array(shared), 0, 0, 1);
                         shared.grow(8192);
                         while (Atomics.load(new Int32Array(shared), 2000) !== 1);",
                    )
                    .unwrap();
            });
        });
        first.enter(|scope| {
            scope
                .eval::<()>(
                    "shared.grow(4096);
                     while (shared.byteLength < 8192);
                     Atomics.store(new Int32Array(shared), 2000, 1); undefined",
                )
                .unwrap();
        });
    });
    assert_eq!(store.byte_length(), 8192);
}

#[test]
fn isolates_end_in_both_orders_and_the_store_outlives_them() {
    for first_ends_first in [true, false] {
        let (mut first, mut second) = (isolate(), isolate());
        let store = first.enter(growable);
        second.enter(|scope| expose(scope, store.as_store()));
        let mut left = if first_ends_first { (drop(first), second).1 } else { (drop(second), first).1 };
        left.enter(|scope| {
            scope.eval::<()>("shared.grow(70000); new Uint8Array(shared)[69999] = 9; undefined").unwrap();
            scope.collect();
            assert_eq!(length(scope), 70_000);
        });
        drop(left);
        let mut last = [0];
        store.copy_to_slice(69_999, &mut last).unwrap();
        assert_eq!((last, store.byte_length(), store.reference_count()), ([9], 70_000, 1));
        // It can be exposed again after all of them.
        isolate().enter(|scope| {
            expose(scope, store.as_store());
            scope.eval::<()>("shared.grow(80000)").unwrap();
        });
        assert_eq!(store.byte_length(), 80_000);
    }
}

#[test]
fn the_buffers_keep_the_memory_without_the_store() {
    let (mut first, mut second) = (isolate(), isolate());
    let store = first.enter(growable);
    second.enter(|scope| expose(scope, store.as_store()));
    drop((store, first));
    second.enter(|scope| {
        scope.eval::<()>("shared.grow(90000); new Uint8Array(shared)[89999] = 3; undefined").unwrap();
        let buffer = scope.eval_buffer("shared").unwrap();
        let again = scope.externalize(&buffer).unwrap();
        assert_eq!(again.to_vec().unwrap()[89_999], 3);
    });
}

#[test]
fn a_part_of_memory_that_grows_is_refused() {
    let (mut first, mut second) = (isolate(), isolate());
    for store in [first.enter(growable), SharedStore::growable(64, 4096).unwrap()] {
        for part in [store.slice(0..8).unwrap(), store.slice(8..8).unwrap(), store.slice(8..).unwrap()] {
            let refused = second.enter(|scope| scope.expose(part.as_store()).map(drop));
            assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
        }
    }
}

#[test]
fn growable_memory_of_no_bytes_is_found_once_it_grew() {
    let store = SharedStore::growable(0, 4096).unwrap();
    isolate().enter(|scope| {
        let buffer = scope.expose(store.as_store()).unwrap();
        store.grow(64).unwrap();
        assert_eq!(scope.externalize(&buffer).unwrap(), *store.as_store());
    });
}

#[test]
fn growable_memory_of_rust_has_the_length_of_the_moment() {
    let store = SharedStore::growable(8, 100_000).unwrap();
    isolate().enter(|scope| {
        let buffer = scope.expose(store.as_store()).unwrap();
        store.grow(5000).unwrap();
        let state = scope.state(&buffer).unwrap();
        assert_eq!((state.byte_length, state.resizable), (8, false));
        let again = scope.expose(store.as_store()).unwrap();
        assert_eq!(scope.state(&again).unwrap().byte_length, 5000);
    });
}

#[test]
fn shared_memory_of_webassembly_has_the_length_of_the_moment_elsewhere() {
    let mut first = isolate();
    for source in ["memory.buffer", "memory.toResizableBuffer()"] {
        let store = first.enter(|scope| {
            let memory = "globalThis.memory = new WebAssembly.Memory({ initial: 1, maximum: 9, shared: true })";
            let buffer = scope.eval_buffer(&format!("{memory}; {source}")).unwrap();
            scope.externalize(&buffer).unwrap()
        });
        isolate().enter(|scope| {
            let buffer = scope.expose(&store).unwrap();
            scope.set_global("there", &buffer).unwrap();
            first.enter(|scope| scope.eval::<()>("memory.grow(2)").unwrap());
            // A growable buffer would need the memory's object, which is in the other isolate.
            assert_eq!(scope.eval::<String>("there.growable + ' ' + there.byteLength").unwrap(), "false 65536");
            scope.eval::<()>("Atomics.store(new Uint8Array(there), 0, 5); undefined").unwrap();
        });
        assert_eq!((store.byte_length(), store.to_vec().unwrap()[0]), (3 * 65_536, 5));
    }
}

#[test]
fn a_resizable_buffer_is_made_again_once_v8_let_go_of_the_first() {
    let (mut first, mut second) = (isolate(), isolate());
    let store = first.enter(|scope| {
        let buffer = scope.allocate(4, Some(100_000)).unwrap();
        scope.bytes_mut(&buffer).unwrap().fill(6);
        let store = scope.externalize(&buffer).unwrap();
        scope.detach(&buffer, None).unwrap();
        store
    });
    for isolate in [&mut first, &mut second] {
        isolate.enter(|scope| {
            let buffer = scope.expose(&store).unwrap();
            scope.set_global("shared", &buffer).unwrap();
            let state = scope.state(&buffer).unwrap();
            assert_eq!((state.resizable, state.max_byte_length), (true, 100_000));
            assert_eq!(scope.externalize(&buffer).unwrap(), store);
            assert!(matches!(scope.expose(&store), Err(Error::Memory(offheap_v8::offheap::Error::OneBuffer { .. }))));
            assert!(matches!(store.to_vec(), Err(offheap_v8::offheap::Error::EngineMayShrink { .. })));
            scope.eval::<()>("shared.resize(90000); new Uint8Array(shared)[89999] = 5; shared.resize(4)").unwrap();
            assert_eq!(*scope.store_bytes(&store).unwrap(), [6; 4]);
            scope.detach(&buffer, None).unwrap();
        });
        assert_eq!((store.exposure(), store.to_vec().unwrap()), (None, vec![6; 4]));
    }
    // The second isolate ends with a live buffer. After that, every isolate can have the store.
    second.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("shared", &buffer).unwrap();
    });
    assert_eq!((store.kind(), store.exposure().is_some()), (StoreKind::ENGINE_RESIZABLE, true));
    drop((first, second));
    assert_eq!((store.exposure(), store.reference_count()), (None, 1));
}

#[test]
fn the_engine_says_that_it_is_no_copy() {
    use offheap_v8::Engine;
    let mut engine = Isolate::from(Isolate::new().unwrap());
    let buffer = engine.allocate_shared(8, Some(16)).unwrap();
    let store = engine.externalize(&buffer).unwrap();
    let mut other = Isolate::from(Isolate::new().unwrap());
    let (there, exposure) = other.expose(&store).unwrap();
    assert_eq!(exposure, Exposure::External);
    engine.resize(&buffer, 16).unwrap();
    assert_eq!(other.state(&there).unwrap().byte_length, 16);
}
