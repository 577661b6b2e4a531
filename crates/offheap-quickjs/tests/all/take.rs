//! Taking the memory of a buffer alone.

use std::cell::RefCell;
use std::thread;

use offheap_quickjs::offheap::{self, BackingStore, ManualMemory, NotUnique, SharedStore, UniqueStore};
use offheap_quickjs::rquickjs::{Ctx, Value};
use offheap_quickjs::{
    BackingStoreExt, Error, Handle, Isolate, JsArrayBuffer, ManuallyExternalizedBuffer, SharedStoreExt, UniqueStoreExt,
    detach,
};

use crate::common::{counted, in_own_context, run};

fn value<'js>(ctx: &Ctx<'js>, source: &str) -> Value<'js> {
    ctx.eval(source).unwrap_or_else(|_| panic!("{source}: {:?}", ctx.catch()))
}

#[test]
fn memory_that_script_made_becomes_native_codes_alone() {
    in_own_context(|ctx| {
        for source in [
            "globalThis.v = new Uint8Array([1, 2, 3]); v",
            "globalThis.v = new Uint8Array([1, 2, 3]); v.buffer",
            "globalThis.v = new Uint8Array([1, 2, 3]); new DataView(v.buffer)",
            "globalThis.v = new Uint8Array(new ArrayBuffer(3, { maxByteLength: 9 })); v.set([1, 2, 3]); v.buffer",
            "globalThis.v = new Uint8Array(new ArrayBuffer(3, { maxByteLength: 9 })); v.set([1, 2, 3]); v",
        ] {
            let value = value(ctx, source);
            let mut store = UniqueStore::take(ctx, &value, None).unwrap();
            assert_eq!(store[..], [1, 2, 3], "{source}");
            run(ctx, "if (v.length !== 0 || !v.buffer.detached) throw 1");
            let store = thread::spawn(move || {
                store[0] = 7;
                store
            });
            assert_eq!(store.join().unwrap()[..], [7, 2, 3], "{source}");
            assert!(matches!(UniqueStore::take(ctx, &value, None), Err(Error::Detached { .. })), "{source}");
        }
    });
}

#[test]
fn a_vec_goes_to_script_and_comes_back_in_one_step() {
    in_own_context(|ctx| {
        let vec = vec![1.0_f32, 2.0];
        let address = vec.as_ptr();
        let buffer = BackingStore::from_owner(vec).unwrap().expose(ctx).unwrap();
        ctx.globals().set("b", buffer).unwrap();
        let array = value(ctx, "globalThis.v = new Float32Array(b); v[1] = 4; v");
        let vec: Vec<f32> = UniqueStore::take(ctx, &array, None).unwrap().try_into_owner().unwrap();
        assert_eq!((vec.as_ptr(), &vec[..]), (address, &[1.0, 4.0][..]));
        // Its memory was freed by nobody else.
        let (store, drops) = counted(vec![1, 2]);
        let buffer = store.expose(ctx).unwrap();
        drop(store);
        let taken = UniqueStore::take(ctx, buffer.as_value(), None).unwrap();
        drop(buffer);
        assert_eq!(drops.get(), 0);
        drop(taken);
        assert_eq!(drops.get(), 1);
    });
}

#[test]
fn an_empty_buffer_is_taken_and_detached() {
    in_own_context(|ctx| {
        let value = value(ctx, "globalThis.b = new ArrayBuffer(0); b");
        assert!(UniqueStore::take(ctx, &value, None).unwrap().is_empty());
        run(ctx, "if (!b.detached) throw 1");
    });
}

/// Expects an error, and that script's `b` is as it was.
#[track_caller]
fn refused(ctx: &Ctx<'_>, value: &Value<'_>, is_it: impl Fn(&Error) -> bool) -> Error {
    let error = UniqueStore::take(ctx, value, None).unwrap_err();
    assert!(is_it(&error), "{error}");
    run(ctx, "if (b.detached || String(new Uint8Array(b)) !== '1,2,3,4,5,6,7,8') throw new Error('changed')");
    error
}

fn is_not_unique(error: &Error, is_it: impl Fn(&NotUnique) -> bool) -> bool {
    matches!(error, Error::Memory(offheap::Error::NotUnique { reason, .. }) if is_it(reason))
}

#[test]
fn what_others_have_is_refused_and_nothing_is_detached() {
    in_own_context(|ctx| {
        let make = "globalThis.b = new ArrayBuffer(8); new Uint8Array(b).set([1, 2, 3, 4, 5, 6, 7, 8]); b";
        let buffer = value(ctx, make);
        // A view of a part.
        let part = value(ctx, "new Uint8Array(b, 1)");
        refused(ctx, &part, |error| matches!(error, Error::Unsupported { .. }));
        // Another reference, of any sort.
        let store = BackingStore::externalize(ctx, &buffer).unwrap();
        refused(ctx, &buffer, |error| {
            is_not_unique(error, |reason| matches!(reason, NotUnique::Exposed { buffers: 1, others: 1, .. }))
        });
        let weak = store.downgrade();
        drop(store);
        refused(ctx, &buffer, |error| {
            is_not_unique(error, |reason| matches!(reason, NotUnique::Exposed { others: 1, .. }))
        });
        // Another buffer.
        let second = weak.upgrade().unwrap().expose(ctx).unwrap();
        drop(weak);
        refused(ctx, &buffer, |error| {
            is_not_unique(error, |reason| matches!(reason, NotUnique::Exposed { buffers: 2, .. }))
        });
        detach(ctx, second.as_value(), None).unwrap();
        // A wrong key.
        let error = UniqueStore::take(ctx, &buffer, Some("key")).unwrap_err();
        assert!(matches!(error, Error::WrongDetachKey { .. }), "{error}");
        refused(ctx, &part, |error| matches!(error, Error::Unsupported { .. }));
        UniqueStore::take(ctx, &buffer, None).unwrap();
    });
}

#[test]
fn memory_that_cannot_be_taken_says_why() {
    let bytes = [1_u8, 2, 3, 4, 5, 6, 7, 8];
    in_own_context(|ctx| {
        let shared = SharedStore::from_owner(bytes.to_vec()).unwrap().expose(ctx).unwrap();
        ctx.globals().set("b", shared.clone()).unwrap();
        refused(ctx, shared.as_value(), |error| matches!(error, Error::NotDetachable { .. }));
        let shared =
            value(ctx, "globalThis.b = new SharedArrayBuffer(8); new Uint8Array(b).set([1, 2, 3, 4, 5, 6, 7, 8]); b");
        refused(ctx, &shared, |error| matches!(error, Error::NotDetachable { .. }));
        let immutable =
            value(ctx, "globalThis.b = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]).buffer.transferToImmutable()");
        refused(ctx, &immutable, |error| matches!(error, Error::Immutable { .. }));
        let manual = ManualMemory::allocate(8).unwrap();
        manual.store().copy_in(ctx, 0, &bytes).unwrap();
        let buffer = manual.store().expose(ctx).unwrap();
        ctx.globals().set("b", buffer.clone()).unwrap();
        refused(ctx, buffer.as_value(), |error| is_not_unique(error, |reason| *reason == NotUnique::Kind));
        let part = BackingStore::from_owner([[0; 8], bytes].concat()).unwrap().slice(8..).unwrap();
        let buffer = part.expose(ctx).unwrap();
        drop(part);
        ctx.globals().set("b", buffer.clone()).unwrap();
        refused(ctx, buffer.as_value(), |error| is_not_unique(error, |reason| *reason == NotUnique::SubStore));
        let number = value(ctx, "1");
        assert!(matches!(UniqueStore::take(ctx, &number, None), Err(Error::NotAnArrayBuffer { .. })));
        in_own_context(|other| {
            assert!(matches!(UniqueStore::take(other, buffer.as_value(), None), Err(Error::WrongIsolate { .. })));
        });
    });
}

thread_local! {
    /// The buffer that is being taken.
    static CURRENT: RefCell<Option<Handle<JsArrayBuffer>>> = const { RefCell::new(None) };
    /// The reference to it that the interrupt handler got.
    static KEPT: RefCell<Option<ManuallyExternalizedBuffer>> = const { RefCell::new(None) };
}

#[test]
fn a_buffer_that_an_interrupt_handler_refers_to_is_not_taken() {
    let handler = || {
        let current = CURRENT.with_borrow(Clone::clone);
        KEPT.set(current.and_then(|handle| ManuallyExternalizedBuffer::new(handle).ok()));
        false
    };
    let mut isolate = Isolate::builder().interrupt_handler(handler).build().unwrap();
    let mut refused = 0;
    isolate.enter(|scope| {
        for _ in 0..20_000 {
            let buffer = scope.eval_buffer("new ArrayBuffer(8)").unwrap();
            CURRENT.set(Some(Handle::clone(&buffer)));
            let taken = scope.take(&buffer, None);
            CURRENT.set(None);
            let kept = KEPT.take();
            assert_eq!(taken.is_err(), kept.is_some());
            assert_eq!(taken.is_err(), !scope.state(&buffer).unwrap().detached, "it is as it was after an error");
            refused += u32::from(kept.is_some());
        }
    });
    assert!(refused > 1, "the handler is called in `take`");
}
