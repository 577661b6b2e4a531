//! A scope lends the memory of a buffer that script made as it is, without a store, as long as only this isolate can have
//! it. Other memory is lent by its store.

use std::thread;

use offheap_conformance::lending::{check_forgotten_guards, check_lending, is_lent_as_it_is};
use offheap_v8::offheap::{self, Holder};
use offheap_v8::{Error, Isolate, JsArrayBufferView, Local, ScopeExt, v8};

use crate::common::{isolate, run, set, start};

#[test]
fn guards_over_script_s_memory_are_those_of_every_engine() {
    check_lending(&isolate);
}

#[test]
fn leaks_a_forgotten_guard_refuses_as_on_every_engine() {
    check_forgotten_guards(&mut isolate());
}

#[test]
fn a_store_that_is_made_later_has_the_memory_that_was_lent() {
    isolate().enter(|scope| {
        for made_by in ["new ArrayBuffer(1)", "new Uint8Array(5000).buffer", "new Uint8Array([1, 2, 3]).slice().buffer"]
        {
            let buffer = scope.eval_buffer(made_by).unwrap();
            let address = scope.bytes_mut(&buffer).unwrap().as_ptr();
            let store = scope.externalize(&buffer).unwrap();
            assert_eq!(store.as_ptr().cast_const().cast(), address);
            let guard = scope.bytes_mut(&buffer).unwrap();
            let busy = store.to_vec().unwrap_err();
            assert!(matches!(busy, offheap::Error::Busy { holder: Holder::Writer, .. }), "{busy}");
            assert_eq!(guard.as_ptr(), address);
        }
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
