//! First steps.
use offheap_quickjs::offheap::{BackingStore, UniqueStore};
use offheap_quickjs::rquickjs::{Context, Runtime};
use offheap_quickjs::{BackingStoreExt, Isolate, ManuallyExternalizedBuffer};

#[test]
fn a_vec_goes_through_script_and_comes_back() {
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    let mut vec: Vec<u32> = Vec::with_capacity(10);
    vec.extend([1, 2, 3]);
    let address = vec.as_ptr();
    let store = BackingStore::from(UniqueStore::from_owner(vec).unwrap());
    context.with(|ctx| {
        ctx.globals().set("buffer", store.to_js(&ctx).unwrap()).unwrap();
        let _: () = ctx
            .eval("new Uint32Array(buffer).forEach((x, i, a) => { a[i] = x * 2 }); delete globalThis.buffer; null")
            .map(|_: Option<i32>| ())
            .unwrap();
    });
    let vec: Vec<u32> = store.try_into_unique().unwrap().try_into_owner().unwrap();
    assert_eq!(vec, [2, 4, 6]);
    assert_eq!(vec.as_ptr(), address);
    assert_eq!(vec.capacity(), 10);
}

#[test]
fn externalize_and_detach() {
    let mut isolate = Isolate::new().unwrap();
    let (buffer, store) = isolate.enter(|scope| {
        let buffer = scope
            .eval_buffer("globalThis.b = new ArrayBuffer(65536); globalThis.v = new Uint8Array(b); v[5] = 7; b")
            .unwrap();
        let external = ManuallyExternalizedBuffer::new(buffer.clone().into_handle()).unwrap();
        assert_eq!(external.store().to_vec().unwrap()[5], 7);
        scope.bytes_mut(buffer.as_handle()).unwrap()[6] = 9;
        assert_eq!(scope.eval::<i32>("v[6]").unwrap(), 9);
        assert_eq!(scope.isolate().external_bytes(), 65536);
        scope.detach(buffer.as_handle(), None).unwrap();
        assert_eq!(scope.eval::<i32>("v.length").unwrap(), 0);
        (buffer.into_handle(), external.store().clone())
    });
    assert_eq!(store.to_vec().unwrap()[5..7], [7, 9]);
    assert_eq!(store.exposure(), None);
    assert_eq!(isolate.id().external_bytes(), 0);
    drop(isolate);
    drop(buffer);
    assert_eq!(store.reference_count(), 1);
}

#[test]
fn atomics_and_keys() {
    use offheap_quickjs::offheap::FrozenStore;
    let mut isolate = Isolate::new().unwrap();
    static WORDS: [u64; 1] = [0x2_0000_0001];
    let frozen = FrozenStore::from_owner(&WORDS[..]).unwrap();
    isolate.enter(|scope| {
        let (buffer, exposure) = scope.expose_frozen(&frozen).unwrap();
        assert!(exposure.is_external());
        scope.set_global("b", buffer.as_handle()).unwrap();
        let error = scope.eval::<i32>("Atomics.store(new Int32Array(b), 0, 5)").unwrap_err();
        assert!(error.to_string().contains("TypeError"), "{error}");
        assert_eq!(scope.eval::<i32>("Atomics.load(new Int32Array(b), 1)").unwrap(), 2);
        let keyed = scope.eval_buffer("globalThis.k = new ArrayBuffer(8)").unwrap();
        scope.set_detach_key(keyed.as_handle(), Some("key")).unwrap();
        let error = scope.eval::<i32>("k.transfer(); 1").unwrap_err();
        assert!(error.to_string().contains("detach key"), "{error}");
        assert!(scope.detach(keyed.as_handle(), None).is_err());
        scope.detach(keyed.as_handle(), Some("key")).unwrap();
        assert_eq!(scope.eval::<bool>("k.detached").unwrap(), true);
        // transfer
        let b = scope.eval_buffer("globalThis.t = new ArrayBuffer(16); new Uint8Array(t).fill(3); t").unwrap();
        let store = scope.externalize(b.as_handle()).unwrap();
        let moved = scope.transfer(b.as_handle(), None).unwrap();
        assert_eq!(scope.externalize(moved.as_handle()).unwrap(), store);
        let grown = scope.transfer(moved.as_handle(), Some(32)).unwrap();
        let other = scope.externalize(grown.as_handle()).unwrap();
        assert_ne!(other, store);
        assert_eq!(other.to_vec().unwrap()[15..17], [3, 0]);
        let again = scope.transfer(grown.as_handle(), Some(8)).unwrap();
        assert_eq!(scope.externalize(again.as_handle()).unwrap().to_vec().unwrap(), [3; 8]);
        let r = scope
            .eval_buffer("globalThis.r = new ArrayBuffer(10, {maxByteLength: 100}); new Uint8Array(r).fill(4); r")
            .unwrap();
        let store = scope.externalize(r.as_handle()).unwrap();
        let p = store.as_ptr();
        scope.resize(r.as_handle(), 100).unwrap();
        assert_eq!(store.byte_length(), 100);
        assert_eq!(store.as_ptr(), p);
        scope.eval::<()>("new Uint8Array(r)[99] = 8; undefined").unwrap();
        assert_eq!(store.to_vec().unwrap()[99], 8);
        scope.with_ctx(|ctx| assert!(offheap_quickjs::script_site(&ctx).is_none()));
    });
}
