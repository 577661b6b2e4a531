//! Resizable stores made by Rust, under resizable buffers of script.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use offheap_quickjs::offheap::{self, BackingStore, UniqueStore};
use offheap_quickjs::{BackingStoreExt, Error, Isolate};

fn resizable(byte_length: usize, max_byte_length: usize) -> BackingStore {
    UniqueStore::resizable(byte_length, max_byte_length).unwrap().into()
}

#[test]
fn script_resizes_the_store_in_place_and_both_sides_go_on_sharing() {
    let mut isolate = Isolate::new().unwrap();
    let store = resizable(8, 1 << 20);
    let address = store.as_ptr();
    isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("b", &buffer).unwrap();
        let state = scope.state(&buffer).unwrap();
        assert_eq!((state.resizable, state.byte_length, state.max_byte_length), (true, 8, 1 << 20));
        scope
            .eval::<()>("globalThis.v = new Uint8Array(b); b.resize(1 << 20); v[(1 << 20) - 1] = 7; undefined")
            .unwrap();
        assert_eq!((store.byte_length(), store.as_ptr()), (1 << 20, address));
        assert_eq!(store.to_vec().unwrap()[(1 << 20) - 1], 7);
        scope.bytes_mut(&buffer).unwrap()[100_000] = 9;
        assert_eq!(scope.eval::<u32>("v[100000]").unwrap(), 9);
    });
    drop(isolate);
    assert_eq!((store.exposure(), store.byte_length()), (None, 1 << 20));
}

#[test]
fn what_script_shrinks_away_is_zero_when_it_comes_back() {
    let mut isolate = Isolate::new().unwrap();
    let store = resizable(64 << 10, 64 << 10);
    isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("b", &buffer).unwrap();
        scope.eval::<()>("new Uint8Array(b).fill(255); b.resize(10); undefined").unwrap();
        assert_eq!(store.to_vec().unwrap(), [255; 10]);
        scope.eval::<()>("b.resize(65536); undefined").unwrap();
    });
    let bytes = store.to_vec().unwrap();
    assert_eq!(bytes.len(), 64 << 10);
    assert!(bytes[..10].iter().all(|&byte| byte == 255) && bytes[10..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_resizable_store_has_one_live_buffer() {
    let mut isolate = Isolate::new().unwrap();
    let store = resizable(8, 16);
    isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        let again = scope.expose(&store).unwrap_err();
        assert!(matches!(again, Error::Memory(offheap::Error::OneBuffer { .. })), "{again}");
        scope.detach(&buffer, None).unwrap();
        scope.expose(&store).unwrap();
    });
}

#[test]
fn rust_resizes_it_while_it_is_exposed_nowhere() {
    let mut isolate = Isolate::new().unwrap();
    let mut store = resizable(8, 4096);
    let buffer = isolate.enter(|scope| scope.expose(&store).unwrap().into_handle());
    assert!(matches!(store.resize(16), Err(offheap::Error::Exposed { .. })));
    isolate.enter(|scope| scope.detach(&buffer, None)).unwrap();
    store.resize(4096).unwrap();
    let length = isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.state(&buffer).unwrap().byte_length
    });
    assert_eq!(length, 4096);
}

#[test]
fn transferring_it_within_its_maximum_moves_the_store() {
    let mut isolate = Isolate::new().unwrap();
    let store = resizable(8, 4096);
    isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        let moved = scope.transfer(&buffer, Some(100)).unwrap();
        assert_eq!(scope.externalize(&moved).unwrap(), store);
        assert_eq!(store.byte_length(), 100);
        assert!(scope.state(&moved).unwrap().resizable);
    });
}

#[test]
fn b16_the_store_of_a_buffer_that_script_makes_empty_is_empty() {
    Isolate::new().unwrap().enter(|scope| {
        for made in ["new ArrayBuffer(8, { maxByteLength: 16 })", "new ArrayBuffer(8, { maxByteLength: 8 })"] {
            let buffer = scope.eval_buffer(&format!("globalThis.b = {made}; new Uint8Array(b).fill(7); b")).unwrap();
            let store = scope.externalize(&buffer).unwrap();
            for resize in ["b.resize(0)", "b.resize(1); b.resize({ valueOf: () => 0 })", "b.resize()", "b.resize(0.9)"]
            {
                scope.eval::<()>(&format!("{resize}; undefined")).unwrap();
                assert_eq!((store.byte_length(), store.to_vec().unwrap()), (0, vec![]), "{made} {resize}");
                assert!(store.slice(..1).is_err());
                scope.eval::<()>("b.resize(1); undefined").unwrap();
                assert_eq!(store.to_vec().unwrap(), [0]);
            }
            scope.resize(&buffer, 0).unwrap();
            assert_eq!(store.byte_length(), 0);
            // A buffer that was moved, before and after it is made empty.
            scope.eval::<()>("b.resize(4); b = b.transfer(1); undefined").unwrap();
            assert_eq!(store.byte_length(), 1);
        }
    });
}

#[test]
fn b16_a_store_with_a_maximum_of_0_shows_that_maximum() {
    let shape = "String([b.byteLength, b.maxByteLength, b.resizable])";
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let store = resizable(0, 0);
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("b", &buffer).unwrap();
        assert_eq!(scope.eval::<String>(shape).unwrap(), "0,0,true");
        assert_eq!(scope.eval::<String>(&format!("b.resize(0); {shape}")).unwrap(), "0,0,true");
        assert!(scope.eval::<()>("b.resize(1)").is_err());
        assert!(scope.resize(&buffer, 1).is_err());
        scope.resize(&buffer, 0).unwrap();
        assert_eq!(scope.externalize(&buffer).unwrap(), store);
        assert_eq!(scope.eval::<String>(&format!("b = b.transfer(); {shape}")).unwrap(), "0,0,true");
        let grown = scope.eval_buffer("b.transferToFixedLength(1)").unwrap();
        assert_eq!(scope.externalize(&grown).unwrap().to_vec().unwrap(), [0]);
        // A buffer that script made, and that native code exposes again.
        let made = scope.eval_buffer("globalThis.b = new ArrayBuffer(0, { maxByteLength: 0 }); b").unwrap();
        let store = scope.externalize(&made).unwrap();
        assert_eq!((store.byte_length(), store.max_byte_length()), (0, 0));
        scope.eval::<()>("b.resize(0)").unwrap();
        assert_eq!(scope.externalize(&made).unwrap(), store);
        scope.detach(&made, None).unwrap();
        let again = scope.expose(&store).unwrap();
        scope.set_global("b", &again).unwrap();
        assert_eq!(scope.eval::<String>(shape).unwrap(), "0,0,true");
    });
    crate::common::in_own_context(|ctx| {
        ctx.globals().set("b", resizable(0, 0).expose(ctx).unwrap()).unwrap();
        assert_eq!(ctx.eval::<String, _>(shape).unwrap(), "0,0,true");
        // A buffer that needs separate memory gets it.
        assert_eq!(ctx.eval::<u32, _>("b.resize(0); new Uint8Array(b.transferToFixedLength(1))[0] + 1").unwrap(), 1);
    });
}

#[test]
fn a_maximum_beyond_the_engines_is_refused() {
    let mut isolate = Isolate::new().unwrap();
    let store = resizable(8, 1 << 31);
    let refused = isolate.enter(|scope| scope.expose(&store).unwrap_err());
    assert!(matches!(refused, Error::TooLargeForEngine { limit: 0x7fff_ffff, .. }), "{refused}");
    assert_eq!(store.exposure(), None);
}

#[test]
fn a6_a_buffer_is_as_long_as_its_store_that_others_resize_until_it_is_exposed() {
    const ROUNDS: usize = 500;
    // After this many resizes the other thread stops, whether or not the threads ran at the same time.
    const RESIZES: usize = 500;
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        for _ in 0..ROUNDS {
            let store = BackingStore::from(UniqueStore::resizable(1000, 1000).unwrap());
            let mut other = store.clone();
            let underway = Arc::new(AtomicBool::new(false));
            let resizer = std::thread::spawn({
                let underway = Arc::clone(&underway);
                move || {
                    // Refused once the store is exposed.
                    (0..RESIZES).all(|_| {
                        underway.store(true, Ordering::Relaxed);
                        other.resize(10).and_then(|()| other.resize(1000)).is_ok()
                    })
                }
            });
            while !underway.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            let buffer = loop {
                match scope.expose(&store) {
                    Ok(buffer) => break buffer,
                    // The other thread is changing the length.
                    Err(error) => assert!(matches!(error, Error::Memory(offheap::Error::Busy { .. })), "{error}"),
                }
            };
            assert_eq!(scope.state(&buffer).unwrap().byte_length, store.byte_length());
            resizer.join().unwrap();
            assert_eq!(scope.state(&buffer).unwrap().byte_length, store.byte_length());
        }
    });
}
