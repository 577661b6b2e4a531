//! Shared stores behind SharedArrayBuffers, made by Rust and by script, in several isolates and on several threads.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::thread;

use crate::common::{Count, in_own_context, run};
use offheap_quickjs::offheap::{self, BackingStore, SharedStore};
use offheap_quickjs::rquickjs::{ArrayBuffer, ArrayBufferSource, Value};
use offheap_quickjs::{BackingStoreExt, Engine, Error, Isolate, ScopeExt, SharedStoreExt, detach};

/// Memory that counts its drops.
struct Source(Vec<u64>, Count);

impl Drop for Source {
    fn drop(&mut self) {
        self.1.add();
    }
}

// SAFETY: the memory is the vector's, which does not move, and no other code uses it.
unsafe impl offheap::Owner for Source {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(NonNull::from(self.0.as_mut_slice()).cast(), self.0.len() * 8)
    }
}

// SAFETY: the memory is the vector's, which does not move, and no other code uses it.
unsafe impl ArrayBufferSource for Source {
    fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr().cast_mut().cast()
    }

    fn len(&self) -> usize {
        self.0.len() * 8
    }
}

#[test]
fn script_and_rust_share_the_memory_in_your_own_context() {
    let store = SharedStore::zeroed(8).unwrap();
    in_own_context(|ctx| {
        let buffer = store.expose(ctx).unwrap();
        ctx.globals().set("b", buffer.clone()).unwrap();
        run(ctx, "if (!(b instanceof SharedArrayBuffer) || b.byteLength !== 8 || b.growable) throw Error(b)");
        run(ctx, "globalThis.v = new Uint8Array(b); v[3] = 7");
        assert_eq!(store.as_atomics()[3].load(Ordering::SeqCst), 7);
        store.copy_from_slice(4, &[9]).unwrap();
        run(ctx, "if (Atomics.load(v, 4) !== 9) throw Error(v)");
        let view: Value<'_> = ctx.globals().get("v").unwrap();
        for value in [buffer.as_value(), &view] {
            assert_eq!(BackingStore::externalize(value.ctx(), value).unwrap(), *store.as_store());
        }
        assert_eq!(store.reference_count(), 2);
    });
    assert_eq!(store.reference_count(), 1);
}

#[test]
fn a_shared_buffer_of_script_has_one_store_also_in_another_isolate() {
    let mut isolate = Isolate::new().unwrap();
    let store = isolate.enter(|scope| {
        let buffer =
            scope.eval_buffer("globalThis.b = new SharedArrayBuffer(8); globalThis.v = new Uint8Array(b)").unwrap();
        scope.eval::<()>("v[1] = 5; undefined").unwrap();
        let store = scope.externalize(&buffer).unwrap();
        assert_eq!(scope.externalize(&buffer).unwrap(), store);
        assert_eq!(store.to_vec().unwrap(), [0, 5, 0, 0, 0, 0, 0, 0]);
        scope.eval::<()>("v[2] = 6; new DataView(b).setUint8(3, 7); undefined").unwrap();
        SharedStore::try_from(store).unwrap()
    });
    assert_eq!(store.to_vec().unwrap(), [0, 5, 6, 7, 0, 0, 0, 0]);
    let there = store.clone();
    let seen = thread::spawn(move || {
        let mut isolate = Isolate::new().unwrap();
        isolate.enter(|scope| {
            let buffer = scope.expose(there.as_store()).unwrap();
            assert_eq!(scope.externalize(&buffer).unwrap(), *there.as_store());
            scope.set_global("b", &buffer).unwrap();
            scope.eval::<u32>("const v = new Uint8Array(b); v[0] = 1; v[3]").unwrap()
        })
    });
    assert_eq!(seen.join().unwrap(), 7);
    assert_eq!(isolate.enter(|scope| scope.eval::<u32>("v[0]")).unwrap(), 1);
    drop(isolate);
    assert_eq!(store.reference_count(), 1);
    assert_eq!(store.to_vec().unwrap()[..4], [1, 5, 6, 7]);
}

#[test]
fn a_shared_buffer_of_script_in_your_own_context_has_a_store_too() {
    in_own_context(|ctx| {
        // Made before the adapter has seen this runtime.
        run(ctx, "globalThis.early = new SharedArrayBuffer(100); globalThis.v = new Uint8Array(early); v[99] = 1");
        run(
            ctx,
            "globalThis.untouched = new SharedArrayBuffer(100); globalThis.fixed = new SharedArrayBuffer(4, { maxByteLength: 4 })",
        );
        let early: Value<'_> = ctx.globals().get("early").unwrap();
        let store = BackingStore::externalize(early.ctx(), &early).unwrap();
        run(ctx, "v[98] = 2");
        assert_eq!(store.to_vec().unwrap()[98..], [2, 1]);
        let fixed: Value<'_> = ctx.globals().get("fixed").unwrap();
        let fixed = BackingStore::externalize(fixed.ctx(), &fixed).unwrap();
        assert_eq!((fixed.byte_length(), fixed.max_byte_length()), (4, 4));
        run(ctx, "globalThis.late = new SharedArrayBuffer(0)");
        let late: Value<'_> = ctx.globals().get("late").unwrap();
        assert_eq!(BackingStore::externalize(late.ctx(), &late).unwrap().byte_length(), 0);
    });
}

#[test]
fn memory_that_another_library_shares_stays_its_own() {
    let count = Count::default();
    in_own_context(|ctx| {
        let make = || ArrayBuffer::from_source_shared(ctx.clone(), Source(vec![1], count.clone())).unwrap();
        let before = make();
        let store = SharedStore::zeroed(8).unwrap();
        let ours = store.expose(ctx).unwrap();
        let after = make();
        for buffer in [&before, &after] {
            let refused = BackingStore::externalize(buffer.ctx(), buffer.as_value()).unwrap_err();
            assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
        }
        drop((before, ours));
        assert_eq!((count.get(), store.reference_count()), (1, 1));
        drop(after);
        assert_eq!(count.get(), 2);
    });
}

#[test]
fn a_runtime_with_a_foreign_free_function_is_refused() {
    use offheap_quickjs::rquickjs::qjs;
    unsafe extern "C" fn free(_: *mut std::ffi::c_void, _: *mut std::ffi::c_void) {}
    in_own_context(|ctx| {
        let functions = qjs::JSSharedArrayBufferFunctions {
            sab_alloc: None,
            sab_free: Some(free),
            sab_dup: None,
            sab_opaque: std::ptr::null_mut(),
        };
        // SAFETY: reads a field of a live context.
        let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
        // SAFETY: a live runtime; the function does nothing.
        unsafe { qjs::JS_SetSharedArrayBufferFunctions(runtime, &functions) };
        let store = SharedStore::zeroed(8).unwrap();
        let refused = store.expose(ctx).unwrap_err();
        assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
        assert_eq!(store.reference_count(), 1);
    });
}

#[test]
fn it_cannot_be_detached_or_lent_as_a_slice_and_is_no_array_buffer() {
    let mut isolate = Isolate::new().unwrap();
    let store = SharedStore::zeroed(8).unwrap();
    isolate.enter(|scope| {
        let buffer = scope.expose(store.as_store()).unwrap();
        let buffer = &buffer;
        let state = scope.state(buffer).unwrap();
        assert!(state.shared && !state.resizable && !state.detached && !state.immutable);
        assert_eq!((state.byte_length, state.max_byte_length), (8, 8));
        assert!(matches!(scope.detach(buffer, None), Err(Error::NotDetachable { .. })));
        assert!(matches!(scope.transfer(buffer, None), Err(Error::NotDetachable { .. })));
        assert!(matches!(scope.resize(buffer, 9), Err(Error::NotResizable { .. })));
        let refused = scope.bytes(buffer).unwrap_err();
        assert!(matches!(refused, Error::Memory(offheap::Error::SharedSlice { .. })), "{refused}");
        assert!(matches!(scope.bytes_mut(buffer), Err(Error::Memory(offheap::Error::SharedSlice { .. }))));
        scope.copy_in(store.as_store(), 4, &[1_u16, 2]).unwrap();
        scope.with_ctx(|ctx| {
            let refused = store.as_store().expose(&ctx).unwrap_err();
            assert!(refused.to_string().contains("SharedStoreExt::expose"), "{refused}");
            assert!(matches!(store.as_store().cells(&ctx), Err(Error::Memory(offheap::Error::SharedSlice { .. }))));
            let value = store.expose(&ctx).unwrap().into_value();
            assert!(matches!(detach(&ctx, &value, None), Err(Error::NotDetachable { .. })));
        });
    });
    assert_eq!(store.to_vec().unwrap()[4..], [1, 0, 2, 0]);
}

#[test]
fn parts_of_fixed_stores_are_exposed_and_come_back_as_they_are() {
    let store = SharedStore::from_owner(vec![7_u8; 32]).unwrap();
    in_own_context(|ctx| {
        for part in [store.slice(8..24).unwrap(), store.slice(32..).unwrap(), store.slice(..0).unwrap()] {
            let buffer = part.expose(ctx).unwrap();
            assert_eq!(BackingStore::externalize(buffer.ctx(), buffer.as_value()).unwrap(), *part.as_store());
        }
        assert!(matches!(store.slice(1..9).unwrap().expose(ctx), Err(Error::Misaligned { byte_offset: 1, .. })));
        let growable = SharedStore::growable(8, 64).unwrap();
        let buffer = growable.expose(ctx).unwrap();
        assert_eq!(BackingStore::externalize(buffer.ctx(), buffer.as_value()).unwrap(), *growable.as_store());
    });
    assert_eq!(store.reference_count(), 1);
}

#[test]
fn parts_of_growable_stores_are_refused_anywhere() {
    let mut isolate = Isolate::new().unwrap();
    let growable = SharedStore::growable(16, 64).unwrap();
    for part in [growable.slice(8..).unwrap(), growable.slice(..8).unwrap(), growable.slice(..).unwrap()] {
        let refuse = |result: Result<(), Error>| {
            let refused = result.unwrap_err();
            assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
        };
        isolate.enter(|scope| refuse(scope.expose(part.as_store()).map(drop)));
        in_own_context(|ctx| refuse(part.expose(ctx).map(drop)));
    }
    assert_eq!(growable.reference_count(), 1);
}

#[test]
fn one_too_large_for_the_engine_is_refused() {
    let store = SharedStore::growable(8, 1 << 31).unwrap();
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        assert!(matches!(scope.expose(store.as_store()), Err(Error::TooLargeForEngine { limit: 0x7fff_ffff, .. })));
    });
    // In a context of the program, the buffer keeps its current length forever.
    in_own_context(|ctx| {
        let buffer = store.expose(ctx).unwrap();
        ctx.globals().set("b", buffer).unwrap();
        store.grow(16).unwrap();
        run(ctx, "if (b.growable || b.byteLength !== 8) throw Error(b.byteLength)");
        ctx.globals().set("b", store.expose(ctx).unwrap()).unwrap();
        run(ctx, "if (b.growable || b.byteLength !== 16) throw Error(b.byteLength)");
    });
}

#[test]
fn a_store_outlives_its_runtimes_and_is_dropped_once() {
    let count = Count::default();
    let store = SharedStore::from_owner(Source(vec![0_u64; 8], count.clone())).unwrap();
    let threads: Vec<_> = (0..3)
        .map(|index| {
            let store = store.clone();
            thread::spawn(move || {
                for _ in 0..20 {
                    let mut isolate = Isolate::new().unwrap();
                    let kept = isolate.enter(|scope| {
                        let buffer = scope.expose(store.as_store()).unwrap();
                        scope.set_global("b", &buffer).unwrap();
                        scope
                            .eval::<()>(
                                "Atomics.add(new Int32Array(b), 3, 1); b.self = [b, new Uint8Array(b)]; undefined",
                            )
                            .unwrap();
                        buffer.into_handle()
                    });
                    if index == 0 {
                        // The handle outlives its isolate.
                        drop(isolate);
                        drop(kept);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(store.copy_out::<i32>().unwrap()[3], 60);
    assert_eq!((store.reference_count(), count.get()), (1, 0));
    drop(store);
    assert_eq!(count.get(), 1);
}

#[test]
fn native_code_sees_views_as_they_are() {
    let mut engine = Isolate::new().unwrap();
    let mut view = |source: &str| {
        let view = engine.evaluate_view(source).unwrap();
        (view.byte_offset, view.byte_length, view.contents)
    };
    assert_eq!(view("new Uint16Array(new Uint8Array([1, 0, 2, 0, 3, 0]).buffer, 2, 1)"), (2, 2, vec![2, 0]));
    assert_eq!(view("new DataView(new Uint8Array([1, 2, 3]).buffer, 1)"), (1, 2, vec![2, 3]));
    assert_eq!(view("const s = new Uint8Array(new SharedArrayBuffer(4), 1, 2); s[1] = 9; s"), (1, 2, vec![0, 9]));
    assert_eq!(view("const d = new Uint8Array(8); d.buffer.transfer(); d"), (0, 0, vec![]));
    assert_eq!(view("const e = new DataView(new ArrayBuffer(8), 4); e.buffer.transfer(); e"), (0, 0, vec![]));
    let short = "const r = new ArrayBuffer(8, { maxByteLength: 16 });";
    assert_eq!(view(&format!("{short} const f = new Uint8Array(r, 4, 4); r.resize(6); f")), (0, 0, vec![]));
    assert_eq!(view("const g = new DataView(r, 4, 2); r.resize(5); g"), (0, 0, vec![]));
    assert_eq!(view("new Uint8Array(r, 2)"), (2, 3, vec![0; 3]));
    assert_eq!(view("Object.defineProperty(new Uint8Array(2), 'byteLength', { value: 100 })"), (0, 2, vec![0, 0]));
    assert!(matches!(engine.evaluate_view("new ArrayBuffer(8)"), Err(Error::NotAnArrayBuffer { .. })));
    assert!(matches!(engine.evaluate_view("({})"), Err(Error::NotAnArrayBuffer { .. })));
}

#[test]
fn script_and_rust_count_in_the_same_elements_at_the_same_time() {
    let store = SharedStore::zeroed(16).unwrap();
    let script = thread::spawn({
        let store = store.clone();
        move || {
            Isolate::new().unwrap().enter(|scope| {
                let view = scope.expose_as::<i32>(store.as_store()).unwrap();
                scope.set_global("v", &view).unwrap();
                let count = "for (let i = 0; i < 20000; i++) { Atomics.add(v, 1, 1); Atomics.xor(v, 2, 1) }";
                scope.eval::<()>(count).unwrap();
                // In the lowest byte of the same element, by another size.
                scope.eval::<()>(
                    "const b = new Uint8Array(v.buffer); for (let i = 0; i < 512; i++) Atomics.add(b, 12, 1)",
                )
            })
        }
    });
    let counters = store.atomic_slice::<i32>().unwrap();
    for _ in 0..20_000 {
        counters.fetch_add(1, 1);
        counters.fetch_xor(2, 2);
        counters.fetch_add(3, 0x100);
    }
    script.join().unwrap().unwrap();
    assert_eq!([0, 1, 2, 3].map(|index| counters.load(index)), [0, 40_000, 0, 20_000 << 8]);
}
