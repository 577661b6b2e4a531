//! A scope lends QuickJS's own memory as it is: nothing is copied, and no store is made.

use offheap_conformance::lending::{check_forgotten_guards, check_lending, externalized};
use offheap_quickjs::rquickjs::{ArrayBuffer, Value, qjs};
use offheap_quickjs::{Error, Isolate, IsolateExt, JsArrayBuffer, Local, ManuallyExternalizedBuffer, Scope, ScopeExt};

/// A buffer of script's, which is the global `b`, and the address of its bytes.
fn made<'s>(scope: &mut Scope<'s>, source: &str) -> (Local<'s, JsArrayBuffer>, *const u8) {
    let buffer = scope.eval_buffer(&format!("globalThis.b = {source}; b")).unwrap();
    let address = scope.with_ctx(|ctx| {
        let (value, mut byte_length) = (ctx.globals().get::<_, Value<'_>>("b").unwrap(), 0);
        // SAFETY: a live value, and a place for the length; the result is only compared.
        unsafe { qjs::JS_GetArrayBuffer(ctx.as_raw().as_ptr(), &mut byte_length, value.as_raw()) }
    });
    (buffer, address)
}

#[test]
fn guards_over_script_s_memory_are_those_of_every_engine() {
    check_lending(&|| Isolate::new().unwrap());
}

#[test]
fn leaks_a_forgotten_guard_refuses_as_on_every_engine() {
    check_forgotten_guards(&mut Isolate::new().unwrap());
}

#[test]
fn reading_64_mib_of_scripts_makes_no_copy() {
    let mut isolate = Isolate::new().unwrap();
    let handle =
        isolate.enter(|scope| scope.eval_buffer("new Uint8Array(64 << 20).fill(1).buffer").unwrap().into_handle());
    let before = isolate.memory_usage();
    isolate.enter(|scope| {
        let bytes = scope.bytes(&handle).unwrap();
        assert_eq!(bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>(), 64 << 20);
        drop(bytes);
        scope.bytes_mut(&handle).unwrap()[5] = 2;
    });
    let after = isolate.memory_usage();
    // QuickJS still has the memory, and has no more of it. A copy would have taken its place.
    assert_eq!((after.malloc_size, after.malloc_count), (before.malloc_size, before.malloc_count));
    assert_eq!(isolate.id().external_bytes(), 0);
}

#[test]
fn memory_of_every_sort_is_lent_where_it_is_and_stays_scripts() {
    Isolate::new().unwrap().enter(|scope| {
        for made_by in [
            "new ArrayBuffer(1)",
            "new ArrayBuffer(64)",
            "new Uint8Array(5000).buffer",
            "new ArrayBuffer(5000, { maxByteLength: 9000 })",
            "new ArrayBuffer(5000, { maxByteLength: 5000 })",
            "new ArrayBuffer(9000).transfer(5000)",
            "new ArrayBuffer(64).slice(8)",
        ] {
            let (buffer, address) = made(scope, made_by);
            let byte_length = scope.state(&buffer).unwrap().byte_length;
            let guard = scope.bytes(&buffer).unwrap();
            assert_eq!((guard.as_ptr(), guard.len()), (address, byte_length), "{made_by}");
            drop(guard);
            let mut guard = scope.bytes_mut(&buffer).unwrap();
            assert_eq!((guard.as_ptr(), guard.len()), (address, byte_length), "{made_by}");
            guard.fill(9);
            drop(guard);
            assert!(scope.eval::<bool>("new Uint8Array(b).every((byte) => byte === 9)").unwrap());
            // Externalizing afterwards gives the bytes that the guard wrote.
            let store = scope.externalize(&buffer).unwrap();
            assert!(store.to_vec().unwrap().iter().all(|&byte| byte == 9));
            assert_eq!(scope.bytes(&buffer).unwrap().as_ptr().cast(), store.as_ptr().cast_const());
        }
        let (buffer, address) = made(scope, "new ArrayBuffer(5000).transferToImmutable()");
        assert_eq!(scope.bytes(&buffer).unwrap().as_ptr(), address);
        assert!(matches!(scope.bytes_mut(&buffer), Err(Error::Immutable { .. })));
        let (buffer, _) = made(scope, "new ArrayBuffer(0)");
        assert!(scope.bytes(&buffer).unwrap().is_empty());
        assert!(scope.bytes_mut(&buffer).unwrap().is_empty());
        let (buffer, address) = made(scope, "new ArrayBuffer(10, { maxByteLength: 100 })");
        scope.eval::<()>("b.resize(100); new Uint8Array(b).fill(3); b.resize(50); undefined").unwrap();
        let _ = address;
        assert_eq!(*scope.bytes(&buffer).unwrap(), [3; 50]);
    });
}

#[test]
fn while_a_guard_lives_no_handle_makes_a_store_of_memory_that_may_be_lent() {
    Isolate::new().unwrap().enter(|scope| {
        // Small memory would be copied and freed, and large memory would be shared with others.
        for byte_length in [64, 5000] {
            let (buffer, address) = made(scope, &format!("new Uint8Array({byte_length}).fill(6).buffer"));
            let with_store = scope.eval_buffer("new ArrayBuffer(8)").unwrap();
            let store = scope.externalize(&with_store).unwrap();
            let bytes = scope.bytes(&buffer).unwrap();
            assert!(externalized(&buffer).is_none());
            // A buffer over a store does not change.
            assert_eq!(*ManuallyExternalizedBuffer::new(with_store.clone().into_handle()).unwrap().store(), store);
            let more = scope.bytes(&buffer).unwrap();
            drop(bytes);
            assert!(externalized(&buffer).is_none());
            assert!(more.iter().all(|&byte| byte == 6));
            drop(more);
            let mut bytes = scope.bytes_mut(&buffer).unwrap();
            assert!(externalized(&buffer).is_none());
            bytes.fill(8);
            drop(bytes);
            let both = ManuallyExternalizedBuffer::new(buffer.clone().into_handle()).unwrap();
            assert_eq!(both.store().to_vec().unwrap(), vec![8; byte_length]);
            assert_eq!(both.backing_store().cast_const().cast() == address, byte_length == 5000);
        }
    });
}

#[test]
fn the_memory_of_a_guard_outlives_the_handle_and_goes_with_the_next_step() {
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| scope.eval::<()>("undefined").unwrap());
    let before = isolate.memory_usage().malloc_size;
    isolate.enter(|scope| {
        let bytes = {
            let buffer = scope.eval_buffer("new Uint8Array(1 << 20).fill(5).buffer").unwrap();
            scope.bytes(&buffer).unwrap()
        };
        assert!(bytes.iter().all(|&byte| byte == 5));
        drop(bytes);
        scope.collect();
    });
    assert!(isolate.memory_usage().malloc_size - before < 1 << 19);
}

#[test]
fn memory_of_another_library_is_lent_by_its_store() {
    Isolate::new().unwrap().enter(|scope| {
        scope.with_ctx(|ctx| {
            let buffer = ArrayBuffer::new(ctx.clone(), vec![7_u8; 5000]).unwrap();
            ctx.globals().set("foreign", buffer).unwrap();
        });
        let foreign = scope.eval_buffer("foreign").unwrap();
        let (own, _) = made(scope, "new ArrayBuffer(64)");
        let lent = scope.bytes(&own).unwrap();
        assert_eq!(*scope.bytes(&foreign).unwrap(), [7; 5000]);
        assert_eq!(*lent, [0; 64]);
    });
}
