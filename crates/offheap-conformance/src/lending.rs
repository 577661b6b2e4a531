//! Guards over the memory of buffers that script made, where an engine lends it without a store.

use std::cell::RefCell;
use std::mem;

use offheap_engine::offheap::{BackingStore, UniqueStore};
use offheap_engine::{
    Error, Handle, Host, Isolate, JsArrayBuffer, JsArrayBufferView, Local, ManuallyExternalizedBuffer, Scope,
};

/// Checks the guards of an engine that lends the memory of script's buffers of fixed length without a store. `make` makes isolates.
///
/// # Panics
/// If the engine does something else than it should.
pub fn check_lending<H: Host>(make: &dyn Fn() -> Isolate<H>) {
    for check in [
        fixed_buffers_stay_script_s::<H>,
        a_view_lends_its_window::<H>,
        detached_and_empty_buffers_and_immutable_ones::<H>,
        a_buffer_over_a_store_is_lent_by_the_store::<H>,
        a_guard_that_is_dropped_late_does_not_count_for_a_later_one::<H>,
        an_owner_that_goes_under_a_guard_cannot_externalize_what_is_lent::<H>,
        a_native_function_lends_its_argument::<H>,
    ] {
        check(&mut make());
    }
    the_memory_of_a_guard_outlives_the_handle_whatever_another_isolate_does(&mut make(), &mut make());
    the_guards_of_one_isolate_do_not_count_in_another(&mut make(), &mut make());
}

/// The store of a buffer by its handle. `None` if that is refused, as it is while a guard lends the memory without a store.
///
/// # Panics
/// If it is refused for another reason.
pub fn externalized(buffer: &Handle<JsArrayBuffer>) -> Option<BackingStore> {
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
///
/// # Panics
/// If they are not lent.
pub fn is_lent_as_it_is<H: Host>(scope: &Scope<'_, H>, buffer: &Handle<JsArrayBuffer>) -> bool {
    let guard = scope.bytes(buffer).unwrap();
    let refused = externalized(buffer).is_none();
    drop(guard);
    refused
}

fn fixed_buffers_stay_script_s<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        for made_by in [
            "new ArrayBuffer(1)",
            "new ArrayBuffer(64)",
            "new Uint8Array(5000).buffer",
            "new ArrayBuffer(9000).transfer(5000)",
            "new ArrayBuffer(64).slice(8)",
            "new Uint8Array([1, 2, 3]).slice().buffer",
        ] {
            let buffer = scope.eval_buffer(&*format!("globalThis.b = {made_by}; b")).unwrap();
            let byte_length = scope.state(&buffer).unwrap().byte_length;
            assert!(is_lent_as_it_is(scope, &buffer), "{made_by}");
            let mut guard = scope.bytes_mut(&buffer).unwrap();
            assert!(externalized(&buffer).is_none(), "{made_by}");
            assert_eq!(guard.len(), byte_length, "{made_by}");
            guard.fill(9);
            drop(guard);
            assert!(scope.eval::<bool>("new Uint8Array(b).every((byte) => byte === 9)").unwrap());
            // Externalizing afterwards gives the same bytes, and from then on the store lends them.
            let store = scope.externalize(&buffer).unwrap();
            assert_eq!(store.to_vec().unwrap(), vec![9; byte_length]);
            let guard = scope.bytes(&buffer).unwrap();
            assert_eq!(guard.as_ptr(), store.as_ptr().cast_const().cast());
            drop(guard);
            assert_eq!(externalized(&buffer), Some(store));
        }
    });
}

fn a_view_lends_its_window<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
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

fn detached_and_empty_buffers_and_immutable_ones<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
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

fn a_buffer_over_a_store_is_lent_by_the_store<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        let store = BackingStore::from_owner(vec![63_u8; 64]).unwrap();
        let exposed = scope.expose(&store).unwrap();
        let made = scope.eval_buffer("new Uint8Array([5, 6]).buffer").unwrap();
        let lent = scope.bytes(&made).unwrap();
        let bytes = scope.bytes(&exposed).unwrap();
        // A handle of its buffer can be externalized under the guard of other memory.
        assert_eq!(externalized(&exposed), Some(store.clone()));
        assert_eq!((bytes[63], lent[1]), (63, 6));
        assert!(externalized(&made).is_none());
        drop((bytes, lent));
        assert!(externalized(&made).is_some());
    });
}

/// Checks that a forgotten guard refuses until the next step, or until the end of the scope. A few bytes of it are lost.
///
/// # Panics
/// If it does something else.
pub fn check_forgotten_guards<H: Host>(isolate: &mut Isolate<H>) {
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

fn a_guard_that_is_dropped_late_does_not_count_for_a_later_one<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(64)").unwrap();
        let later;
        {
            // It is not used after the next step, but is dropped at the end of the block.
            let early = scope.bytes(&buffer).unwrap();
            assert_eq!(early.len(), 64);
            scope.eval::<()>("undefined").unwrap();
            later = scope.bytes(&buffer).unwrap();
        }
        assert!(externalized(&buffer).is_none());
        assert_eq!(*later, [0; 64]);
        drop(later);
        assert!(externalized(&buffer).is_some());
    });
}

thread_local!(static KEPT: RefCell<Option<Handle<JsArrayBuffer>>> = const { RefCell::new(None) });

fn an_owner_that_goes_under_a_guard_cannot_externalize_what_is_lent<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
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

fn a_native_function_lends_its_argument<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        let before = scope.isolate().external_bytes();
        let sum = scope.function("sum", |scope, arguments| {
            let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
            let bytes = scope.bytes(&buffer)?;
            assert!(externalized(&buffer).is_none());
            Ok(bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>().into())
        });
        scope.set_global("sum", sum.unwrap()).unwrap();
        assert_eq!(scope.eval::<u32>("sum(new Uint8Array([1, 2, 3]).buffer)").unwrap(), 6);
        assert_eq!(scope.isolate().external_bytes(), before);
    });
}

fn the_memory_of_a_guard_outlives_the_handle_whatever_another_isolate_does<H: Host>(
    first: &mut Isolate<H>,
    second: &mut Isolate<H>,
) {
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

fn the_guards_of_one_isolate_do_not_count_in_another<H: Host>(first: &mut Isolate<H>, second: &mut Isolate<H>) {
    first.enter(|first| {
        let of_first = first.eval_buffer("new ArrayBuffer(64)").unwrap();
        let bytes = first.bytes(&of_first).unwrap();
        second.enter(|second| {
            let of_second = second.eval_buffer("new ArrayBuffer(64)").unwrap();
            assert!(externalized(&of_second).is_some());
            assert!(externalized(&of_first).is_none());
        });
        assert_eq!(*bytes, [0; 64]);
    });
}
