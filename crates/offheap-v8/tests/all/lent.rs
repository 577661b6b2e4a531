//! A scope lends the memory of a buffer that script made as it is, without a store, as long as only this isolate can have
//! it. Other memory is lent by its store.

use std::cell::RefCell;
use std::mem;
use std::thread;

use offheap_v8::offheap::{self, BackingStore, Holder, UniqueStore};
use offheap_v8::{
    Error, Handle, Isolate, JsArrayBuffer, JsArrayBufferView, Local, ManuallyExternalizedBuffer, Scope, ScopeExt, v8,
};

use crate::common::{isolate, numbered, run, set, start};

/// A handle of `buffer`, externalized. Only while a guard lends memory without a store, a handle makes no store.
fn externalized(buffer: &Handle<JsArrayBuffer>) -> Option<BackingStore> {
    match ManuallyExternalizedBuffer::new(buffer.clone()) {
        Ok(externalized) => Some(externalized.store().clone()),
        Err(rejected) => {
            let (error, handle) = rejected.into_parts();
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
            assert!(error.to_string().contains("drop the guard first"), "{error}");
            drop(handle);
            None
        }
    }
}

/// Whether the bytes of a buffer are lent without a store.
fn is_lent_as_it_is(scope: &Scope<'_>, buffer: &Handle<JsArrayBuffer>) -> bool {
    let guard = scope.bytes(buffer).unwrap();
    let refused = externalized(buffer).is_none();
    drop(guard);
    refused
}

#[test]
fn script_s_fixed_buffers_are_lent_where_they_are_and_stay_script_s() {
    isolate().enter(|scope| {
        for made_by in [
            "new ArrayBuffer(1)",
            "new ArrayBuffer(64)",
            "new Uint8Array(5000).buffer",
            "new ArrayBuffer(9000).transfer(5000)",
            "new ArrayBuffer(64).slice(8)",
            "new Uint8Array([1, 2, 3]).slice().buffer",
        ] {
            let buffer = scope.eval_buffer(&format!("globalThis.b = {made_by}; b")).unwrap();
            let byte_length = scope.state(&buffer).unwrap().byte_length;
            assert!(is_lent_as_it_is(scope, &buffer), "{made_by}");
            let mut guard = scope.bytes_mut(&buffer).unwrap();
            assert!(externalized(&buffer).is_none(), "{made_by}");
            guard.fill(9);
            let address = guard.as_ptr();
            drop(guard);
            assert!(scope.eval::<bool>("new Uint8Array(b).every((byte) => byte === 9)").unwrap());
            // Externalizing afterwards gives the same bytes, and from then on the store lends them.
            let store = scope.externalize(&buffer).unwrap();
            assert_eq!((store.as_ptr().cast_const().cast(), store.byte_length()), (address, byte_length));
            let guard = scope.bytes_mut(&buffer).unwrap();
            let busy = store.to_vec().unwrap_err();
            assert!(matches!(busy, offheap::Error::Busy { holder: Holder::Writer, .. }), "{busy}");
            assert_eq!(guard.as_ptr(), address);
            drop(guard);
            drop(store);
        }
    });
}

#[test]
fn a_view_lends_its_window_without_a_store() {
    isolate().enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new Uint8Array([1, 2, 3, 4]).buffer; b").unwrap();
        let view: Local<'_, JsArrayBufferView> = scope.eval("globalThis.v = new Uint8Array(b, 1, 2)").unwrap();
        let (part, whole) = (scope.bytes(&view).unwrap(), scope.bytes(&buffer).unwrap());
        assert_eq!((&part[..], &whole[..]), (&[2, 3][..], &[1, 2, 3, 4][..]));
        assert!(externalized(&buffer).is_none());
        drop((part, whole));
        scope.bytes_mut(&view).unwrap().fill(7);
        assert_eq!(scope.eval::<String>("String(new Uint8Array(b))").unwrap(), "1,7,7,4");
        scope.eval::<()>("b.transfer(); undefined").unwrap();
        assert!(matches!(scope.bytes(&view), Err(Error::Detached { .. })));
        assert!(matches!(scope.bytes_mut(&view), Err(Error::Detached { .. })));
    });
}

#[test]
fn memory_whose_length_changes_or_that_v8_made_is_lent_by_a_store() {
    isolate().enter(|scope| {
        for made_by in ["new ArrayBuffer(8, { maxByteLength: 64 })", "new ArrayBuffer(8, { maxByteLength: 8 })"] {
            let buffer = scope.eval_buffer(made_by).unwrap();
            assert!(!is_lent_as_it_is(scope, &buffer), "{made_by}");
        }
        let buffer = scope.eval_buffer("globalThis.r = new ArrayBuffer(8, { maxByteLength: 64 })").unwrap();
        scope.eval::<()>("r.resize(64); new Uint8Array(r).fill(3); r.resize(50); undefined").unwrap();
        assert_eq!(*scope.bytes(&buffer).unwrap(), [3; 50]);
    });
    start();
    Isolate::builder().v8_allocator().build().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(8)").unwrap();
        assert!(!is_lent_as_it_is(scope, &buffer));
    });
}

#[test]
fn webassembly_s_memory_is_lent_by_a_store() {
    isolate().enter(|scope| {
        let memory = "globalThis.memory = new WebAssembly.Memory({ initial: 1, maximum: 9 }); memory.buffer";
        let buffer = scope.eval_buffer(memory).unwrap();
        assert!(!is_lent_as_it_is(scope, &buffer));
        scope.eval::<()>("memory.grow(1); undefined").unwrap();
        assert!(matches!(scope.bytes(&buffer), Err(Error::Detached { .. })));
    });
}

#[test]
fn shared_memory_is_not_lent_by_a_buffer_or_a_view() {
    isolate().enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.s = new SharedArrayBuffer(8)").unwrap();
        let view: Local<'_, JsArrayBufferView> = scope.eval("new Uint8Array(s)").unwrap();
        for refused in [scope.bytes(&buffer).map(drop), scope.bytes(&view).map(drop)] {
            let error = refused.unwrap_err();
            assert!(matches!(error, Error::Memory(offheap::Error::SharedSlice { .. })), "{error}");
        }
        assert!(scope.bytes_mut(&view).is_err());
    });
}

#[test]
fn detached_and_empty_buffers_and_immutable_ones() {
    isolate().enter(|scope| {
        let gone = scope.eval_buffer("globalThis.gone = new ArrayBuffer(8); gone").unwrap();
        assert!(is_lent_as_it_is(scope, &gone));
        scope.eval::<()>("gone.transfer(); undefined").unwrap();
        assert!(matches!(scope.bytes(&gone), Err(Error::Detached { .. })));
        assert!(matches!(scope.bytes_mut(&gone), Err(Error::Detached { .. })));

        let empty = scope.eval_buffer("new ArrayBuffer(0)").unwrap();
        assert!(scope.bytes(&empty).unwrap().is_empty());
        assert!(scope.bytes_mut(&empty).unwrap().is_empty());

        let immutable = scope.eval_buffer("new Uint8Array([1, 2]).buffer.transferToImmutable()").unwrap();
        assert_eq!(*scope.bytes(&immutable).unwrap(), [1, 2]);
        assert!(is_lent_as_it_is(scope, &immutable));
        assert!(matches!(scope.bytes_mut(&immutable), Err(Error::Immutable { .. })));
        // The store that is made later is frozen.
        assert!(scope.externalize(&immutable).unwrap().kind().is_read_only());
    });
}

#[test]
fn a_buffer_over_a_store_is_lent_by_the_store_under_a_guard_of_other_memory() {
    isolate().enter(|scope| {
        let store = numbered(64);
        let exposed = scope.expose(&store).unwrap();
        let made = scope.eval_buffer("new Uint8Array([5, 6]).buffer").unwrap();
        let lent = scope.bytes(&made).unwrap();
        let bytes = scope.bytes(&exposed).unwrap();
        // A handle of its buffer can be externalized.
        assert_eq!(externalized(&exposed), Some(store.clone()));
        assert_eq!((bytes[63], lent[1]), (63, 6));
        assert!(externalized(&made).is_none());
        drop((bytes, lent));
        assert!(externalized(&made).is_some());
    });
}

#[test]
fn leaks_a_forgotten_guard_refuses_until_the_next_step_or_the_end_of_the_scope() {
    let mut isolate = isolate();
    let handle = isolate.enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(64)").unwrap();
        mem::forget(scope.bytes(&buffer).unwrap());
        assert!(externalized(&buffer).is_none());
        scope.eval::<()>("undefined").unwrap();
        assert!(externalized(&buffer).is_some());
        let buffer = scope.eval_buffer("new ArrayBuffer(64)").unwrap();
        mem::forget(scope.bytes_mut(&buffer).unwrap());
        assert!(externalized(&buffer).is_none());
        buffer.into_handle()
    });
    assert!(externalized(&handle).is_some());
}

#[test]
fn once_a_program_had_a_scope_a_store_lends_the_bytes() {
    isolate().enter(|scope| {
        let before = scope.eval_buffer("globalThis.b = new Uint8Array([1, 2]).buffer; b").unwrap();
        assert!(is_lent_as_it_is(scope, &before));
        let block =
            scope.with_v8(|scope| v8::Local::<v8::ArrayBuffer>::try_from(run(scope, "b")).unwrap().get_backing_store());
        // Another isolate could have a buffer over this block.
        let refused = scope.bytes(&before).map(drop).unwrap_err();
        assert!(matches!(refused, Error::NotLent { .. }), "{refused}");
        let later = scope.eval_buffer("new ArrayBuffer(8)").unwrap();
        assert!(!is_lent_as_it_is(scope, &later));
        drop(block);
        assert_eq!(*scope.bytes(&before).unwrap(), [1, 2]);
    });
}

#[test]
fn memory_from_another_isolate_is_not_lent_without_a_store() {
    let mut first = isolate();
    let block = first.enter(|scope| {
        scope.with_v8(|scope| {
            let buffer = run(scope, "globalThis.b = new Uint8Array([1, 2]).buffer; b");
            v8::Local::<v8::ArrayBuffer>::try_from(buffer).unwrap().get_backing_store()
        })
    });
    thread::scope(|threads| {
        threads.spawn(move || {
            isolate().enter(|scope| {
                scope.with_v8(|scope| {
                    let buffer = v8::ArrayBuffer::with_backing_store(scope, &block);
                    set(scope, "b", buffer.into());
                });
                drop(block);
                let buffer = scope.eval_buffer("b").unwrap();
                let refused = scope.bytes(&buffer).map(drop).unwrap_err();
                assert!(matches!(refused, Error::NotLent { .. } | Error::Memory(_)), "{refused}");
            });
        });
    });
    drop(first);
}

#[test]
fn the_memory_of_a_guard_outlives_the_handle_whatever_another_isolate_does() {
    let (mut first, mut second) = (isolate(), isolate());
    first.enter(|scope| {
        let bytes = {
            let buffer = scope.eval_buffer("new Uint8Array(1 << 20).fill(5).buffer").unwrap();
            scope.bytes(&buffer).unwrap()
        };
        second.enter(|second| {
            second.eval::<()>("for (let i = 0; i < 100; i++) new ArrayBuffer(1 << 20); undefined").unwrap();
            second.collect();
        });
        assert!(bytes.iter().all(|&byte| byte == 5));
    });
}

thread_local!(static KEPT: RefCell<Option<Handle<JsArrayBuffer>>> = const { RefCell::new(None) });

#[test]
fn an_owner_that_goes_under_a_guard_cannot_externalize_what_is_lent() {
    isolate().enter(|scope| {
        let buffer = scope.eval_buffer("new Uint8Array(64).fill(1).buffer").unwrap();
        KEPT.set(Some(buffer.clone().into_handle()));
        let unique = UniqueStore::from_owner_with_deleter(vec![0_u8; 8], |_, _| {
            KEPT.with_borrow(|kept| assert!(externalized(kept.as_ref().unwrap()).is_none()));
        });
        let store = BackingStore::from(unique.unwrap());
        let bytes = scope.bytes(&buffer).unwrap();
        drop(store);
        assert_eq!(*bytes, [1; 64]);
        drop(bytes);
        drop(KEPT.take());
    });
}

#[test]
fn a_native_function_lends_its_argument_without_a_store() {
    isolate().enter(|scope| {
        let sum = scope.function("sum", |scope, arguments| {
            let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
            let bytes = scope.bytes(&buffer)?;
            assert!(externalized(&buffer).is_none());
            Ok(bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>().into())
        });
        scope.set_global("sum", sum.unwrap()).unwrap();
        assert_eq!(scope.eval::<u32>("sum(new Uint8Array([1, 2, 3]).buffer)").unwrap(), 6);
        assert_eq!(scope.isolate().external_bytes(), 0);
    });
}
