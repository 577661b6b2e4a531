//! The behaviour of an isolate on a QuickJS with a layout that this adapter does not know.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap::{BackingStore, SharedStore, UniqueStore};

use crate::sys::pretend_layout_changed;
use crate::{Error, Isolate, QUICKJS_VERSION, ScopeExt};

#[test]
fn on_another_layout_externalizing_is_an_error_and_all_else_works() {
    let drops = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&drops);
    let count = move |_: *mut u8, _: usize| {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let store = BackingStore::from(UniqueStore::from_owner_with_deleter(vec![1_u8; 64], count).unwrap());
    Isolate::new().unwrap().enter(|scope| {
        scope.with_ctx(|ctx| pretend_layout_changed(&ctx).unwrap());
        let made_by_script = scope.eval_buffer("globalThis.b = new ArrayBuffer(3)").unwrap();
        let error = scope.externalize(&made_by_script).unwrap_err();
        assert!(matches!(error, Error::LayoutChanged { .. }), "{error}");
        assert!(error.to_string().contains(QUICKJS_VERSION), "{error}");
        assert!(matches!(scope.bytes(&made_by_script).unwrap_err(), Error::LayoutChanged { .. }));
        scope.detach(&made_by_script, None).unwrap();
        let exposed = scope.expose(&store).unwrap();
        scope.set_global("e", &exposed).unwrap();
        assert_eq!(scope.eval::<u32>("new Uint8Array(e)[63] += 1").unwrap(), 2);
        assert_eq!(scope.store_bytes(&store).unwrap()[63], 2);
        scope.detach(&exposed, None).unwrap();
        assert_eq!(store.exposure(), None);
    });
    drop(store);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn on_another_layout_nobody_grows_a_buffer_beyond_its_store() {
    let store = SharedStore::growable(8, 4096).unwrap();
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let buffer = scope.expose(store.as_store()).unwrap();
        scope.set_global("b", &buffer).unwrap();
        scope.with_ctx(|ctx| pretend_layout_changed(&ctx)).unwrap();
        let refused = scope.eval::<()>("b.grow(100); undefined").unwrap_err();
        assert!(matches!(&refused, Error::Script(error) if error.message().starts_with("TypeError: QuickJS 0.16.2")));
        assert_eq!(scope.eval::<u32>("b.byteLength").unwrap(), 8);
    });
    // If no buffer is over a store, script may grow buffers.
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        scope.with_ctx(|ctx| pretend_layout_changed(&ctx)).unwrap();
        let grown = "const s = new SharedArrayBuffer(1, { maxByteLength: 9 }); s.grow(9); s.byteLength";
        assert_eq!(scope.eval::<u32>(grown).unwrap(), 9);
    });
}
