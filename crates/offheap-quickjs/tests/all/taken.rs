//! Memory that QuickJS allocated becomes the memory of a store where it is, in a runtime with our allocator.

use std::thread;

use offheap_quickjs::offheap::{BackingStore, SharedStore, StoreKind};
use offheap_quickjs::rquickjs::{Context, Ctx, Runtime, Value, qjs};
use offheap_quickjs::{
    Allocator, BackingStoreExt, Isolate, IsolateExt, JsArrayBuffer, Local, ManuallyExternalizedBuffer, Scope, ScopeExt,
};

use crate::common::run;

const MIB: usize = 1 << 20;

fn global<'js>(ctx: &Ctx<'js>, name: &str) -> Value<'js> {
    ctx.globals().get(name).unwrap()
}

/// The address of the bytes of a buffer, shared or not.
fn address(ctx: &Ctx<'_>, name: &str) -> *const u8 {
    let (buffer, mut byte_length) = (global(ctx, name), 0);
    // SAFETY: a live value, and a place for the length; the result is only compared.
    unsafe { qjs::JS_GetArrayBuffer(ctx.as_raw().as_ptr(), &mut byte_length, buffer.as_raw()) }
}

/// Runs `test` in a context of a program's own, with our allocator.
fn with_allocator(test: impl FnOnce(&Ctx<'_>)) {
    let runtime = Runtime::new_with_alloc(Allocator::new()).unwrap();
    let context = Context::full(&runtime).unwrap();
    context.with(|ctx| test(&ctx));
}

/// A buffer of script's, which is the global `b`, and its address.
fn made<'s>(scope: &mut Scope<'s>, source: &str) -> (Local<'s, JsArrayBuffer>, *const u8) {
    let buffer = scope.eval_buffer(&format!("globalThis.b = {source}; b")).unwrap();
    let address = scope.with_ctx(|ctx| address(&ctx, "b"));
    (buffer, address)
}

#[test]
fn a_large_buffer_of_scripts_is_externalized_where_it_is() {
    // Blocks of up to 504 bytes are parts of larger blocks, and are copied.
    for (byte_length, stays) in [(0, false), (64, false), (504, false), (505, true), (4096, true), (64 * MIB, true)] {
        Isolate::new().unwrap().enter(|scope| {
            let (buffer, before) = made(scope, &format!("new ArrayBuffer({byte_length})"));
            scope
                .eval::<()>("globalThis.v = new Uint8Array(b).fill(3); globalThis.d = new DataView(b); undefined")
                .unwrap();
            let store = scope.externalize(&buffer).unwrap();
            assert_eq!(store.as_ptr().cast_const().cast::<u8>() == before, stays, "{byte_length}");
            assert_eq!((store.kind(), store.byte_length()), (StoreKind::FIXED, byte_length));
            assert_eq!(store.exposure(), Some((scope.isolate(), 1)));
            assert!(store.to_vec().unwrap().iter().all(|&byte| byte == 3));
            if byte_length != 0 {
                scope.eval::<()>("v[0] = 7; if (d.getUint8(0) !== 7) throw 1").unwrap();
                scope.copy_in(&store, byte_length - 1, &[8_u8]).unwrap();
                assert_eq!(
                    scope.eval::<u32>("v[0] * 10 + v[v.length - 1]").unwrap(),
                    if byte_length == 1 { 88 } else { 78 }
                );
            }
            assert_eq!(scope.externalize(&buffer).unwrap(), store);
            assert_eq!(store.reference_count(), 2);
            scope.detach(&buffer, None).unwrap();
            assert_eq!((store.reference_count(), store.exposure()), (1, None));
        });
    }
}

#[test]
fn a_context_with_our_allocator_does_the_same_and_one_without_copies() {
    with_allocator(|ctx| {
        run(ctx, "globalThis.b = new ArrayBuffer(4096); globalThis.v = new Float64Array(b, 8); v[0] = 1.5");
        let before = address(ctx, "b");
        let store = BackingStore::externalize_buffer(ctx, &global(ctx, "v")).unwrap();
        assert_eq!((store.as_ptr().cast_const().cast(), address(ctx, "b")), (before, before));
        run(ctx, "v[1] = v[0]; if (v[1] !== 1.5) throw 1");
        assert_eq!(store.to_vec().unwrap()[8..16], store.to_vec().unwrap()[16..24]);
    });
    crate::common::in_own_context(|ctx| {
        run(ctx, "globalThis.b = new ArrayBuffer(4096)");
        let before = address(ctx, "b");
        let store = BackingStore::externalize(ctx, &global(ctx, "b")).unwrap();
        assert_ne!(store.as_ptr().cast_const().cast::<u8>(), before);
    });
}

#[test]
fn the_memory_outlives_the_buffer_and_the_runtime_and_is_freed_on_any_thread() {
    let mut isolate = Isolate::new().unwrap();
    let stores: Vec<BackingStore> = isolate.enter(|scope| {
        let sources = [
            "const b = new ArrayBuffer(5000); new Uint8Array(b).fill(9); b",
            "new Uint8Array(5000).fill(9).buffer",
            "new Uint8Array(9000).fill(9).buffer.slice(0, 5000)",
            "new Uint8Array(5000).fill(9).buffer.transfer()",
            "new Uint8Array(9000).fill(9).buffer.transfer(5000)",
            "new Uint8Array(5000).fill(9).buffer.transferToImmutable()",
        ];
        sources
            .map(|source| {
                let buffer = scope.eval_buffer(source).unwrap();
                scope.externalize(&buffer).unwrap()
            })
            .into()
    });
    drop(isolate);
    for store in stores {
        assert_eq!(store.reference_count(), 1);
        thread::spawn(move || assert!(store.to_vec().unwrap() == [9; 5000])).join().unwrap();
    }
}

#[test]
fn script_may_transfer_detach_and_replace_the_memory_afterwards() {
    Isolate::new().unwrap().enter(|scope| {
        let (buffer, before) = made(scope, "new Uint8Array(5000).fill(4).buffer");
        let store = scope.externalize(&buffer).unwrap();
        // The same length moves the store along, and another one gets other memory.
        scope.eval::<()>("globalThis.c = b.transfer(); undefined").unwrap();
        assert_eq!(scope.with_ctx(|ctx| address(&ctx, "c")), before);
        scope.eval::<()>("globalThis.d = c.transfer(6000); if (new Uint8Array(d)[4999] !== 4) throw 1").unwrap();
        assert_ne!(scope.with_ctx(|ctx| address(&ctx, "d")), before);
        assert_eq!((store.exposure(), store.reference_count()), (None, 1));
        assert!(store.bytes().unwrap().iter().all(|&byte| byte == 4));
        // It is exposed again, where it is.
        let again = scope.expose(&store).unwrap();
        scope.set_global("e", &again).unwrap();
        assert_eq!(scope.eval::<u32>("new Uint8Array(e)[0]").unwrap(), 4);
        assert_eq!(scope.externalize(&again).unwrap(), store);
    });
}

#[test]
fn shared_and_immutable_memory_is_taken_too_and_resizable_memory_is_copied() {
    Isolate::new().unwrap().enter(|scope| {
        let cases = [
            ("new SharedArrayBuffer(5000)", StoreKind::SHARED, true),
            ("new ArrayBuffer(5000).transferToImmutable()", StoreKind::FROZEN, true),
            ("new ArrayBuffer(5000, { maxByteLength: 9000 })", StoreKind::RESIZABLE, false),
            ("new SharedArrayBuffer(5000, { maxByteLength: 9000 })", StoreKind::SHARED_GROWABLE, false),
        ];
        for (source, kind, stays) in cases {
            let (buffer, before) = made(scope, source);
            let store = scope.externalize(&buffer).unwrap();
            assert_eq!((store.kind(), store.as_ptr().cast_const().cast::<u8>() == before), (kind, stays), "{source}");
            assert_eq!(scope.externalize(&buffer).unwrap(), store);
        }
        // Another isolate gets the shared memory, and reads it after this one has ended.
        let buffer =
            scope.eval_buffer("const s = new SharedArrayBuffer(5000); new Uint8Array(s)[4999] = 5; s").unwrap();
        let shared = SharedStore::try_from(scope.externalize(&buffer).unwrap()).unwrap();
        let other = thread::spawn(move || {
            Isolate::new().unwrap().enter(|scope| {
                let buffer = scope.expose(shared.as_store()).unwrap();
                scope.set_global("s", &buffer).unwrap();
                scope.eval::<u32>("new Uint8Array(s)[4999]").unwrap()
            })
        });
        assert_eq!(other.join().unwrap(), 5);
    });
}

#[test]
fn quickjs_no_longer_counts_the_memory_so_the_limit_is_for_the_rest() {
    let mut isolate = Isolate::builder().memory_limit(24 * MIB).build().unwrap();
    let mut stores = Vec::new();
    for _ in 0..8 {
        let before = isolate.memory_usage().malloc_size;
        isolate.enter(|scope| {
            let (buffer, address) = made(scope, "new ArrayBuffer(16 << 20)");
            let store = scope.externalize(&buffer).unwrap();
            assert_eq!(store.as_ptr().cast_const().cast(), address);
            stores.push(store);
        });
        let after = isolate.memory_usage().malloc_size;
        assert!(after - before < MIB as i64, "{before} to {after}");
    }
    // What is not externalized counts.
    let refused = isolate.enter(|scope| {
        scope.eval::<()>("globalThis.c = [new ArrayBuffer(16 << 20), new ArrayBuffer(16 << 20)]; undefined")
    });
    assert!(refused.unwrap_err().to_string().contains("out of memory"));
}

#[test]
fn many_buffers_are_taken_and_freed() {
    let mut isolate = Isolate::new().unwrap();
    let before = isolate.memory_usage().malloc_size;
    isolate.enter(|scope| {
        for round in 0..200_usize {
            let byte_length = 505 + round * 37;
            let source = format!("new Uint8Array({byte_length}).fill({round}).buffer");
            let buffer = scope.eval_buffer(&source).unwrap();
            let store = scope.externalize(&buffer).unwrap();
            drop(buffer);
            scope.collect();
            assert!(store.bytes().unwrap().iter().all(|&byte| byte == round as u8));
        }
    });
    let after = isolate.memory_usage().malloc_size;
    assert!(after - before < MIB as i64 / 4, "{before} to {after}");
}

#[test]
fn a_handle_takes_the_memory_as_a_scope_does() {
    let mut isolate = Isolate::new().unwrap();
    let (handle, before) = isolate.enter(|scope| {
        let (buffer, before) = made(scope, "new ArrayBuffer(5000)");
        (buffer.into_handle(), before)
    });
    let both = ManuallyExternalizedBuffer::new(handle).unwrap();
    assert_eq!(both.backing_store().cast_const().cast(), before);
}
