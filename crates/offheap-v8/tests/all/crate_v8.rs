//! The crate `v8`'s own tests of its buffers (152.2.0), translated to this project's API. Each test has the name of the
//! crate's test.

use std::sync::mpsc;

use offheap_v8::offheap::{BackingStore, SharedStore, UniqueStore};
use offheap_v8::{Error, Isolate, v8};

use crate::common::isolate;

#[test]
fn array_buffer() {
    let (sender, deleted) = mpsc::channel();
    let numbers: Vec<u8> = (0..10).collect();
    let address = numbers.as_ptr().addr();
    let deleter = move |data: *mut u8, byte_length| sender.send((data.addr(), byte_length)).expect("the test waits");
    let store: BackingStore = UniqueStore::from_owner_with_deleter(numbers, deleter).map_err(drop).unwrap().into();
    isolate().enter(|scope| {
        let made = scope.eval_buffer("new ArrayBuffer(42)").unwrap();
        assert_eq!(scope.state(&made).unwrap().byte_length, 42);
        // The second call does nothing.
        for _ in 0..2 {
            scope.detach(&made, None).unwrap();
            let state = scope.state(&made).unwrap();
            assert_eq!((state.byte_length, state.detached), (0, true));
        }
        let empty = scope.eval_buffer("new ArrayBuffer(0)").unwrap();
        assert!(!scope.state(&empty).unwrap().detached);
        scope.detach(&empty, None).unwrap();
        assert!(scope.state(&empty).unwrap().detached);

        let buffer = scope.expose(&store).unwrap();
        assert_eq!(&*scope.bytes(&buffer).unwrap(), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(store.as_ptr().addr(), address);
    });
    assert!(deleted.try_recv().is_err(), "a reference is left");
    drop(store);
    assert_eq!(deleted.try_iter().collect::<Vec<_>>(), [(address, 10)]);
}

#[test]
fn backing_store_segfault() {
    let allocator = v8::new_default_allocator().make_shared();
    crate::common::start();
    let mut isolate = Isolate::builder().array_buffer_allocator(allocator.clone()).build().unwrap();
    let store = isolate.enter(|scope| {
        let buffer = scope.eval_buffer("const b = new ArrayBuffer(10); new Uint8Array(b).fill(7); b").unwrap();
        scope.externalize(&buffer).unwrap()
    });
    drop(isolate);
    // The store outlives the isolate, and keeps the allocator of its memory alive.
    drop(allocator);
    assert_eq!(store.to_vec().unwrap(), [7; 10]);
    drop(store);
}

#[test]
fn shared_array_buffer_allocator() {
    let allocator = v8::new_default_allocator().make_shared();
    crate::common::start();
    let mut isolates: Vec<Isolate> =
        (0..2).map(|_| Isolate::builder().array_buffer_allocator(allocator.clone()).build().unwrap()).collect();
    drop(allocator);
    for (index, isolate) in isolates.iter_mut().enumerate() {
        isolate.enter(|scope| scope.eval::<()>(&format!("globalThis.b = new ArrayBuffer({})", index + 1)).unwrap());
    }
    isolates.remove(0);
    assert_eq!(isolates[0].enter(|scope| scope.eval::<u32>("b.byteLength").unwrap()), 2);
}

#[test]
fn array_buffer_with_shared_backing_store() {
    isolate().enter(|scope| {
        let first = scope.eval_buffer("new ArrayBuffer(42)").unwrap();
        let store = scope.externalize(&first).unwrap();
        assert_eq!(scope.externalize(&first).unwrap(), store);
        let second = scope.expose(&store).unwrap();
        assert_eq!(scope.externalize(&second).unwrap(), store);
        scope.bytes_mut(&second).unwrap()[41] = 9;
        assert_eq!(scope.bytes(&first).unwrap()[41], 9);
        // One reference is dropped, the other stays.
        scope.detach(&first, None).unwrap();
        assert_eq!(scope.bytes(&second).unwrap().len(), 42);
    });
}

#[test]
fn deref_empty_backing_store() {
    isolate().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(0)").unwrap();
        let store = scope.externalize(&buffer).unwrap();
        assert!(!store.as_ptr().is_null());
        let bytes = scope.bytes(&buffer).unwrap();
        assert!(bytes.is_empty());
    });
}

#[test]
fn array_buffer_view() {
    isolate().enter(|scope| {
        let buffer = scope.eval_buffer("new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7]).subarray(2, 5)").unwrap();
        // The buffer of a view is the whole buffer, of which the view is a part.
        let store = scope.externalize(&buffer).unwrap();
        assert_eq!(store.to_vec().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(store.slice(2..5).unwrap().to_vec().unwrap(), [2, 3, 4]);
    });
}

#[test]
fn typed_array_constructors() {
    let store = BackingStore::from(UniqueStore::zeroed(64).unwrap());
    isolate().enter(|scope| {
        let array = scope.expose_typed::<f64>(&store, 16, 4).unwrap();
        scope.set_global("a", &array).unwrap();
        let shape = scope.eval::<String>("[a.constructor.name, a.byteOffset, a.length, a.buffer.byteLength].join()");
        assert_eq!(shape.unwrap(), "Float64Array,16,4,64");
        // The crate's constructors end the process for these.
        for (byte_offset, element_count) in [(4, 1), (16, 7), (72, 0), (0, usize::MAX)] {
            let refused = scope.expose_typed::<f64>(&store, byte_offset, element_count);
            assert!(matches!(refused, Err(Error::Memory(_) | Error::Misaligned { .. })), "{refused:?}");
        }
    });
}

#[test]
fn shared_array_buffer() {
    isolate().enter(|scope| {
        let made = scope.eval_buffer("new SharedArrayBuffer(42)").unwrap();
        let state = scope.state(&made).unwrap();
        assert_eq!((state.byte_length, state.shared), (42, true));
        let store = SharedStore::from_owner((0..10).collect::<Vec<u8>>()).map_err(drop).unwrap();
        let buffer = scope.expose(store.as_store()).unwrap();
        scope.set_global("shared", &buffer).unwrap();
        assert_eq!(scope.eval::<u32>("new Uint8Array(shared).reduce((a, b) => a + b)").unwrap(), 45);
        assert!(matches!(scope.detach(&buffer, None), Err(Error::NotDetachable { .. })));
    });
}

#[test]
fn value_serializer_and_deserializer_array_buffers() {
    // A program does this around V8's serializer: it takes the stores, detaches, and makes buffers over them in the
    // other isolate.
    let (mut from, mut to) = (isolate(), isolate());
    let store = from.enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new Uint8Array([1, 2, 3]).buffer").unwrap();
        let store = scope.externalize(&buffer).unwrap();
        scope.detach(&buffer, None).unwrap();
        assert_eq!(scope.eval::<u32>("b.byteLength").unwrap(), 0);
        store
    });
    to.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("b", &buffer).unwrap();
        assert_eq!(scope.eval::<String>("new Uint8Array(b).join()").unwrap(), "1,2,3");
        assert_eq!(scope.externalize(&buffer).unwrap(), store);
    });
}

#[test]
fn backing_store_from_empty_boxed_slice() {
    let store: BackingStore =
        UniqueStore::from_owner(Vec::<u8>::new().into_boxed_slice()).map_err(drop).unwrap().into();
    isolate().enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        assert_eq!(scope.state(&buffer).unwrap().byte_length, 0);
        assert_eq!(scope.externalize(&buffer).unwrap(), store);
    });
}

#[test]
fn backing_store_from_empty_vec() {
    let store: BackingStore = UniqueStore::from_owner(Vec::<u8>::new()).map_err(drop).unwrap().into();
    isolate().enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        assert_eq!(scope.state(&buffer).unwrap().byte_length, 0);
        assert_eq!(scope.externalize(&buffer).unwrap(), store);
    });
}

#[test]
fn backing_store_data() {
    let store: BackingStore = UniqueStore::from_owner(vec![1_u8, 2, 3, 4, 5]).map_err(drop).unwrap().into();
    isolate().enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        let bytes = scope.bytes(&buffer).unwrap();
        assert_eq!(&*bytes, &[1, 2, 3, 4, 5]);
        assert_eq!(bytes.as_ptr().addr(), store.as_ptr().addr());
    });
}

#[test]
fn backing_store_resizable() {
    isolate().enter(|scope| {
        let fixed = scope.expose(&UniqueStore::from_owner(vec![1_u8; 5]).map_err(drop).unwrap().into()).unwrap();
        assert!(!scope.state(&fixed).unwrap().resizable);
        let resizable = scope.eval_buffer("new ArrayBuffer(100, { maxByteLength: 200 })").unwrap();
        let state = scope.state(&resizable).unwrap();
        assert_eq!((state.byte_length, state.max_byte_length, state.resizable), (100, 200, true));
        assert_eq!(scope.externalize(&resizable).unwrap().max_byte_length(), 200);
    });
}
