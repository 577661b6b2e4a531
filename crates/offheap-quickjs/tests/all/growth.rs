//! Growable shared memory in isolates on several threads: growth by script and by Rust, and waiting.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use offheap_quickjs::offheap::{self, SharedStore};
use offheap_quickjs::{BufferState, Error, Isolate, JsArrayBuffer, Local, Scope, ScopeExt};

fn expose<'s>(scope: &mut Scope<'s>, store: &SharedStore, name: &str) -> Local<'s, JsArrayBuffer> {
    let buffer = scope.expose(store.as_store()).unwrap();
    scope.set_global(name, &buffer).unwrap();
    buffer
}

/// The exception that a script throws, as text.
fn thrown(scope: &mut Scope<'_>, source: &str) -> String {
    match scope.eval::<()>(&format!("{source}; undefined")) {
        Err(Error::Script(error)) => error.message().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn growth_by_script_grows_the_store() {
    let store = SharedStore::growable(8, 1 << 20).unwrap();
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let buffer = expose(scope, &store, "b");
        let shape: String = scope
            .eval("globalThis.v = new Uint8Array(b); String([b.growable, b.byteLength, b.maxByteLength])")
            .unwrap();
        assert_eq!(shape, "true,8,1048576");
        scope.eval::<()>("b.grow(100000); v[99999] = 7; undefined").unwrap();
        assert_eq!((store.byte_length(), store.as_atomics()[99_999].load(Ordering::SeqCst)), (100_000, 7));
        assert_eq!(scope.eval::<u32>("b.grow(100000.9); b.grow('100001'); v.length").unwrap(), 100_001);
        for short in ["b.grow(100000)", "b.grow()", "b.grow(NaN)", "b.grow(-1)", "b.grow(1048577)", "b.grow(2 ** 60)"] {
            assert!(thrown(scope, short).starts_with("RangeError"), "{short}");
        }
        let below = "SharedArrayBuffer.prototype.grow: the length is below 0 or above 2 ** 53 - 1";
        for outside in ["b.grow(-1)", "b.grow(-Infinity)", "b.grow(2 ** 53)"] {
            assert_eq!(thrown(scope, outside), format!("RangeError: {below}"), "{outside}");
        }
        for wrong in [
            "b.grow(1n)",
            "b.grow.call({}, 1)",
            "b.grow.call(new ArrayBuffer(8), 1)",
            "new SharedArrayBuffer(1).grow(1)",
        ] {
            assert!(thrown(scope, wrong).starts_with("TypeError"), "{wrong}");
        }
        assert!(matches!(scope.resize(&buffer, 5), Err(Error::InvalidLength { limit: 100_001, .. })));
        assert!(matches!(scope.resize(&buffer, 1 << 21), Err(Error::InvalidLength { limit: 0x10_0000, .. })));
        scope.resize(&buffer, 1 << 20).unwrap();
        let state = scope.state(&buffer).unwrap();
        let expected = BufferState {
            byte_length: 1 << 20,
            max_byte_length: 1 << 20,
            detached: false,
            resizable: true,
            immutable: false,
            shared: true,
        };
        assert_eq!((state, store.byte_length()), (expected, 1 << 20));
    });
}

#[test]
fn the_functions_look_like_the_engines_own() {
    let mut isolate = Isolate::new().unwrap();
    let described: String = isolate
        .enter(|scope| {
            scope.eval(
                "const { grow } = SharedArrayBuffer.prototype;
                 const { get, set, enumerable, configurable } =
                   Object.getOwnPropertyDescriptor(SharedArrayBuffer.prototype, 'byteLength');
                 const inherited = ['prototype' in grow, 'prototype' in get];
                 String([grow.name, grow.length, get.name, get.length, set, enumerable, configurable, inherited])",
            )
        })
        .unwrap();
    assert_eq!(described, "grow,1,get byteLength,0,,false,true,false,false");
}

#[test]
fn script_that_replaces_everything_cannot_grow_a_buffer_beyond_its_store() {
    let store = SharedStore::growable(8, 4096).unwrap();
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        expose(scope, &store, "b");
        let length: u32 = scope
            .eval(
                "const { grow } = SharedArrayBuffer.prototype;
                 Object.prototype.next = { buffer: 1 };
                 Object.defineProperty(Object.prototype, '0', { set() { throw 1 }, get() { return 4000 } });
                 Reflect.apply = Math.trunc = WeakRef.prototype.deref = () => 4000;
                 Function.prototype.call = () => 1;
                 delete SharedArrayBuffer.prototype.byteLength;
                 b.grow(16);
                 new Uint8Array(b).length",
            )
            .unwrap();
        assert_eq!((length, store.byte_length()), (16, 16));
    });
}

#[test]
fn growth_elsewhere_is_seen_at_byte_length_at_atomics_and_when_script_begins() {
    let store = SharedStore::growable(8, 4096).unwrap();
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let first = expose(scope, &store, "a");
        expose(scope, &store, "b");
        scope.eval::<()>("globalThis.v = new Uint8Array(a); globalThis.w = new Int32Array(b); undefined").unwrap();
        // Before script starts.
        store.grow(16).unwrap();
        assert_eq!(scope.eval::<String>("String([v.length, w.length])").unwrap(), "16,4");
        // While script runs, through the other buffer.
        assert_eq!(scope.eval::<String>("b.grow(20); String([v.length, w.length])").unwrap(), "20,5");
        // While script runs, by other code.
        let other = store.clone();
        scope.with_ctx(|ctx| {
            let grow = move |byte_length: usize| other.grow(byte_length).unwrap();
            let grow = offheap_quickjs::rquickjs::Function::new(ctx.clone(), grow).unwrap();
            ctx.globals().set("growElsewhere", grow).unwrap();
        });
        assert_eq!(scope.eval::<u32>("growElsewhere(24); a.byteLength").unwrap(), 24);
        assert_eq!(scope.eval::<u32>("growElsewhere(28); Atomics.load(w, 6)").unwrap(), 0);
        assert_eq!(
            scope.eval::<u32>("growElsewhere(32); Atomics.store(w, 7, 9); Atomics.notify(w, 7); w[7]").unwrap(),
            9
        );
        assert!(thrown(scope, "growElsewhere(64); a.grow(40)").starts_with("RangeError"));
        store.grow(128).unwrap();
        assert_eq!(scope.state(&first).unwrap().byte_length, 128);
        assert_eq!(scope.externalize(&first).unwrap(), *store.as_store());
        // Microtasks are script too.
        scope.eval::<()>("Promise.resolve().then(() => { globalThis.seen = v.length }); undefined").unwrap();
        store.grow(256).unwrap();
        scope.run_microtasks().unwrap();
        assert_eq!(scope.eval::<u32>("seen").unwrap(), 256);
    });
}

#[test]
fn shared_buffers_of_script_grow_before_and_after_they_are_externalized() {
    let mut isolate = Isolate::new().unwrap();
    let store = isolate.enter(|scope| {
        let made = "globalThis.b = new SharedArrayBuffer(4, { maxByteLength: 100 }); b.grow(6); globalThis.v = new Uint8Array(b); v[5] = 1; b";
        let buffer = scope.eval_buffer(made).unwrap();
        scope.resize(&buffer, 7).unwrap();
        let store = SharedStore::try_from(scope.externalize(&buffer).unwrap()).unwrap();
        assert_eq!((store.byte_length(), store.max_byte_length(), store.is_growable()), (7, 100, true));
        assert_eq!(scope.eval::<String>("v[6] = 2; b.grow(50); v[49] = 3; String([v.length, b.growable, b.maxByteLength])").unwrap(), "50,true,100");
        store.grow(100).unwrap();
        assert_eq!(scope.eval::<u32>("v.length").unwrap(), 100);
        // A subclass, and a buffer with a maximum of 0.
        let odd = scope.eval_buffer("class S extends SharedArrayBuffer {}; new S(0, { maxByteLength: 0 })").unwrap();
        let empty = scope.externalize(&odd).unwrap();
        assert_eq!((empty.byte_length(), empty.max_byte_length()), (0, 0));
        store
    });
    drop(isolate);
    assert_eq!(store.to_vec().unwrap()[5..7], [1, 2]);
    assert_eq!((store.as_atomics()[49].load(Ordering::SeqCst), store.reference_count()), (3, 1));
}

#[test]
fn a_buffer_that_becomes_a_store_while_grow_reads_its_argument_grows_with_it() {
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let held = std::rc::Rc::new(std::cell::RefCell::new(None));
        let taken = std::rc::Rc::clone(&held);
        scope.with_ctx(|ctx| {
            use offheap_quickjs::BackingStoreExt;
            let take = move |value: offheap_quickjs::rquickjs::Value<'_>| {
                *taken.borrow_mut() = Some(offheap::BackingStore::externalize(value.ctx(), &value).unwrap());
            };
            let take = offheap_quickjs::rquickjs::Function::new(ctx.clone(), take).unwrap();
            ctx.globals().set("take", take).unwrap();
        });
        scope.eval::<()>("globalThis.b = new SharedArrayBuffer(4, { maxByteLength: 64 }); b.grow({ valueOf() { take(b); return 32 } }); undefined").unwrap();
        let store = held.borrow_mut().take().unwrap();
        assert_eq!((store.byte_length(), scope.eval::<u32>("b.byteLength").unwrap()), (32, 32));
    });
}

#[test]
fn many_buffers_come_go_and_keep_up() {
    let mut isolate = Isolate::new().unwrap();
    let stores: Vec<_> = (0..100).map(|_| SharedStore::growable(1, 4096).unwrap()).collect();
    isolate.enter(|scope| {
        scope.eval::<()>("globalThis.kept = []; undefined").unwrap();
        for (index, store) in stores.iter().enumerate() {
            expose(scope, store, "b");
            if index % 3 == 0 {
                scope.eval::<()>("kept.push(new Uint8Array(b)); undefined").unwrap();
            }
        }
        stores.iter().for_each(|store| store.grow(2).unwrap());
        let summed: u32 = scope.eval("delete globalThis.b; kept.reduce((sum, view) => sum + view.length, 0)").unwrap();
        assert_eq!(summed, 2 * 34);
    });
    let held = stores.iter().filter(|store| store.reference_count() == 2).count();
    assert_eq!(held, 34);
}

#[test]
fn a_growable_store_of_nothing_is_exposed() {
    let mut isolate = Isolate::new().unwrap();
    let store = SharedStore::growable(0, 0).unwrap();
    isolate.enter(|scope| {
        let buffer = expose(scope, &store, "b");
        assert_eq!(scope.externalize(&buffer).unwrap(), *store.as_store());
        assert!(thrown(scope, "b.grow(1)").starts_with("RangeError"));
        assert_eq!(scope.eval::<u32>("b.byteLength").unwrap(), 0);
    });
}

#[test]
fn racing_growers_end_with_one_length_and_no_buffer_is_longer_than_its_store() {
    let store = SharedStore::growable(0, 1 << 20).unwrap();
    let threads: Vec<_> = (1..=3_usize)
        .map(|step| {
            let store = store.clone();
            thread::spawn(move || {
                let mut isolate = Isolate::new().unwrap();
                isolate.enter(|scope| {
                    expose(scope, &store, "b");
                    let source = format!(
                        "let refused = 0, seen = 0;
                         for (let n = {step}; n <= 3000; n += 3) {{
                           try {{ b.grow(n * 10) }} catch (e) {{ if (!(e instanceof RangeError)) throw e; refused++ }}
                           const length = b.byteLength;
                           if (length < seen || length < n * 10) throw Error('shorter');
                           new Uint8Array(b)[length - 1] = 1;
                           seen = length;
                         }}
                         seen"
                    );
                    let seen: usize = scope.eval(&source).unwrap();
                    assert!(seen <= store.byte_length());
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!((store.byte_length(), store.reference_count()), (30_000, 1));
}

#[test]
fn script_waits_in_one_isolate_and_is_notified_in_another() {
    let store = SharedStore::growable(8, 4096).unwrap();
    let there = store.clone();
    let waiting = thread::spawn(move || {
        let mut isolate = Isolate::builder().can_block(true).build().unwrap();
        isolate.enter(|scope| {
            expose(scope, &there, "b");
            // The first number says that the script has started. It waits at the second.
            let source = "const v = new Int32Array(b); Atomics.store(v, 0, 1); const woken = Atomics.wait(v, 1, 0, 60000); woken + v[1]";
            scope.eval::<String>(source).unwrap()
        })
    });
    let mut isolate = Isolate::new().unwrap();
    let notified = isolate.enter(|scope| {
        expose(scope, &store, "b");
        scope.eval::<()>("globalThis.v = new Int32Array(b); undefined").unwrap();
        let begun = Instant::now();
        loop {
            // The script may not be waiting yet. It does not wait if the number has changed.
            let count: u32 = scope.eval("Atomics.load(v, 0) === 1 ? Atomics.notify(v, 1) : 0").unwrap();
            if count != 0 || begun.elapsed() > Duration::from_secs(60) {
                return count;
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(notified, 1);
    assert_eq!(waiting.join().unwrap(), "ok0");
}

#[test]
fn waiting_is_a_type_error_unless_it_is_allowed() {
    let store = SharedStore::zeroed(8).unwrap();
    store.atomic_slice::<i32>().unwrap().store(0, 1);
    let wait = |mut isolate: Isolate| {
        isolate.enter(|scope| {
            expose(scope, &store, "b");
            scope.eval::<String>("try { Atomics.wait(new Int32Array(b), 0, 1, 1) } catch (e) { e.name }").unwrap()
        })
    };
    assert_eq!(wait(Isolate::new().unwrap()), "TypeError");
    assert_eq!(wait(Isolate::builder().can_block(false).build().unwrap()), "TypeError");
    assert_eq!(wait(Isolate::builder().can_block(true).build().unwrap()), "timed-out");
}
