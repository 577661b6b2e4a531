//! The ends of isolates: in any order, with live handles and stores, on many threads.

use offheap_v8::{Error, Isolate, ManuallyExternalizedBuffer, ScopeExt, Throw, v8};

use crate::common::{counted, in_child, in_own_scope, isolate, run, set, start};

#[test]
fn leaks_handles_of_isolates_that_end_in_any_order() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]] {
        let mut isolates = [const { None::<Isolate> }; 3].map(|_| Some(isolate()));
        let (store, dropped) = counted(vec![1; 8]);
        for (position, end) in order.into_iter().enumerate() {
            for isolate in isolates.iter_mut().flatten() {
                assert_eq!(isolate.enter(|scope| scope.eval::<u32>("6 * 7")).unwrap(), 42);
            }
            let ending = isolates[end].as_mut().unwrap();
            ending.enter(|scope| std::mem::forget(scope.expose(&store).unwrap()));
            assert_eq!(store.exposure(), Some((ending.id(), 1)));
            isolates[end] = None;
            assert_eq!(store.exposure(), None, "{position}");
        }
        drop(store);
        assert_eq!(dropped.get(), 1);
    }
}

#[test]
fn isolates_are_entered_inside_of_each_other_and_end_there() {
    let (mut outer, mut inner) = (isolate(), isolate());
    let (store, _) = counted(vec![3; 8]);
    outer.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("b", &buffer).unwrap();
        inner.enter(|other| {
            assert_eq!(other.eval::<String>("typeof b").unwrap(), "undefined");
            // This handle belongs to the outer isolate.
            let external = ManuallyExternalizedBuffer::new(offheap_v8::Handle::clone(&buffer)).unwrap();
            assert_eq!(*external.store(), store);
            assert!(matches!(other.state(&buffer), Err(Error::WrongIsolate { .. })));
            assert!(other.expose(&store).is_err());
        });
        drop(inner);
        let made = Isolate::new().unwrap();
        assert_eq!(scope.eval::<u32>("new Uint8Array(b)[0]").unwrap(), 3);
        drop(made);
        assert_eq!(scope.eval::<u32>("b.byteLength").unwrap(), 8);
    });
}

#[test]
fn an_isolate_ends_with_live_handles_and_stores() {
    let (store, dropped) = counted(vec![7; 64]);
    let mut isolate = isolate();
    let (handle, external) = isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("b", &buffer).unwrap();
        scope.eval::<()>("b.self = { b }").unwrap();
        let made = scope.eval_buffer("globalThis.m = new ArrayBuffer(100); new Uint8Array(m).fill(5); m").unwrap();
        (buffer.into_handle(), ManuallyExternalizedBuffer::new(made.into_handle()).unwrap())
    });
    assert!(external.store().exposure().is_some());
    let again = handle.clone();
    drop(isolate);
    assert_eq!(store.exposure(), None);
    assert_eq!(external.store().exposure(), None);
    assert_eq!(external.store().bytes().unwrap()[..], [5; 100]);
    let late = handle.clone();
    drop((again, late));
    let error = ManuallyExternalizedBuffer::new(handle).unwrap_err();
    assert!(matches!(error.error(), Error::IsolateGone));
    drop((error, external));
    assert_eq!(dropped.get(), 0);
    drop(store);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn a_panic_in_a_scope_leaves_the_isolate_usable() {
    let mut isolate = isolate();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        isolate.enter(|scope| scope.with_v8(|_| panic!("in a scope")));
    }));
    assert!(panicked.is_err());
    assert_eq!(isolate.enter(|scope| scope.eval::<u32>("1 + 1")).unwrap(), 2);
    let other = Isolate::new().unwrap();
    drop(isolate);
    drop(other);
}

#[test]
fn threads_with_isolates_pass_stores_around() {
    start();
    let (mut store, dropped) = counted(vec![0; 8]);
    for round in 1..=3_u8 {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut isolate = Isolate::new().unwrap();
                    let made = isolate.enter(|scope| {
                        let source = format!("globalThis.b = new ArrayBuffer(256); new Uint8Array(b).fill({round}); b");
                        let buffer = scope.eval_buffer(&source).unwrap();
                        scope.externalize(&buffer).unwrap()
                    });
                    drop(isolate);
                    made
                })
            })
            .collect();
        for thread in threads {
            // V8's own memory outlives its isolate and its thread.
            let made = thread.join().unwrap();
            assert_eq!(made.bytes().unwrap()[..], [round; 256]);
        }
        store = std::thread::spawn(move || {
            let mut isolate = Isolate::new().unwrap();
            isolate.enter(|scope| {
                let buffer = scope.expose(&store).unwrap();
                scope.set_global("b", &buffer).unwrap();
                scope.eval::<()>("new Uint8Array(b)[0]++; undefined").unwrap();
            });
            store
        })
        .join()
        .unwrap();
        assert_eq!(store.bytes().unwrap()[0], round);
    }
    drop(store);
    assert_eq!(dropped.get(), 1);
}

fn make_an_isolate(
    scope: &mut v8::PinScope<'_, '_>,
    _: v8::FunctionCallbackArguments<'_>,
    mut made: v8::ReturnValue<'_>,
) {
    match Isolate::new() {
        Ok(mut isolate) => made.set_bool(isolate.enter(|scope| scope.eval::<bool>("true")).unwrap_or(false)),
        Err(error) => error.throw(scope),
    }
}

fn make_isolates_until_the_stack_ends() {
    in_own_scope(|scope| {
        let function = v8::Function::new(scope, make_an_isolate).unwrap();
        set(scope, "make", function.into());
        let made = run(
            scope,
            "let errors = 0, made = false;
             const deeper = () => {
               try { deeper(); } catch {}
               try { made ||= make(); } catch { errors++; }
             };
             deeper();
             made && errors > 0",
        );
        assert!(made.is_true());
    });
}

#[test]
fn where_the_stack_ends_an_isolate_is_an_error_and_the_next_is_made() {
    // It runs in its own process, where a thread cannot get the larger stack of an earlier thread.
    let Some(output) = in_child("ends::where_the_stack_ends_an_isolate_is_an_error_and_the_next_is_made") else {
        // This is little more stack than V8 gives to script.
        let thread = std::thread::Builder::new().stack_size(1150 << 10);
        start();
        return thread.spawn(make_isolates_until_the_stack_ends).unwrap().join().unwrap();
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_first_heap_is_no_larger_than_the_largest() {
    start();
    for (initial, max) in [(64 << 20, 32 << 20), (1, 0), (usize::MAX, 64 << 20)] {
        let mut isolate = Isolate::builder().heap_limits(initial, max).build().unwrap();
        assert_eq!(isolate.enter(|scope| scope.eval::<u32>("1")).unwrap(), 1);
    }
}
