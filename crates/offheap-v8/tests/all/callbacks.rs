//! Functions of the program that V8 calls: for rejected promises, and for errors that nothing caught.

use std::cell::RefCell;
use std::rc::Rc;

use offheap_v8::offheap::BackingStore;
use offheap_v8::{BackingStoreExt, Error, Isolate, ScopeExt, v8};

use crate::common::{counted, in_child, run, start};

type Seen = Rc<RefCell<Vec<String>>>;

fn tracking(seen: &Seen) -> Isolate {
    start();
    let seen = Rc::clone(seen);
    let resolve = |_: &str, name: &str| Ok::<_, String>(name.to_owned());
    let builder = Isolate::builder().loader(resolve, |_: &str| Ok::<_, String>(String::new()));
    let builder = builder.rejection_tracker(move |scope, promise, reason, is_handled| {
        assert_eq!(promise.state(), v8::PromiseState::Rejected);
        seen.borrow_mut().push(format!("{} {is_handled}", reason.to_rust_string_lossy(scope)));
    });
    builder.build().unwrap()
}

#[test]
fn the_tracker_is_told_of_rejected_promises_and_of_late_handlers() {
    let seen = Seen::default();
    tracking(&seen).enter(|scope| {
        scope.eval::<()>("globalThis.p = Promise.reject('no'); Promise.reject(1).catch(() => {}); undefined").unwrap();
        assert_eq!(seen.take(), ["no false", "1 false", "1 true"]);
        scope.eval::<()>("p.catch(() => {}); undefined").unwrap();
        scope.eval::<()>("(async () => { await 0; throw 'late' })(); undefined").unwrap();
        assert_eq!(seen.take(), ["no true"]);
        scope.run_microtasks().unwrap();
        assert_eq!(seen.take(), ["late false"]);
        // The error of a module is returned, so that it counts as handled.
        scope.evaluate_module("main", "throw 'in module'").unwrap_err();
        assert_eq!(seen.take(), ["in module false", "in module true"]);
    });
}

#[test]
fn the_tracker_may_run_script_and_take_stores() {
    start();
    let kept = Rc::new(RefCell::new(Vec::new()));
    let keep = Rc::clone(&kept);
    let builder = Isolate::builder().rejection_tracker(move |scope, _, reason, is_handled| {
        if !is_handled {
            // It is called again before it returns.
            run(
                scope,
                "globalThis.depth = (globalThis.depth ?? 0) + 1; depth < 3 && Promise.reject(new ArrayBuffer(8))",
            );
            keep.borrow_mut().push(BackingStore::externalize(scope, reason).unwrap());
            offheap_v8::collect(scope);
        }
    });
    let mut isolate = builder.build().unwrap();
    let (store, dropped) = counted(vec![7; 8]);
    isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("buffer", &buffer).unwrap();
        scope.eval::<()>("Promise.reject(buffer); undefined").unwrap();
        assert_eq!(scope.eval::<u32>("depth").unwrap(), 3);
        assert_eq!(scope.bytes(&buffer).unwrap()[..], [7; 8]);
    });
    assert_eq!(kept.borrow().len(), 3);
    assert_eq!(kept.borrow()[2], store);
    drop(isolate);
    kept.borrow_mut().clear();
    drop(store);
    assert_eq!(dropped.get(), 1);
}

/// A tracker gets a scope of the crate `v8`, as `with_v8` lends one, and may give the memory to another isolate.
#[test]
fn after_a_tracker_ran_a_slice_needs_handles_to_all_buffers() {
    start();
    let kept = Rc::new(RefCell::new(None));
    let keep = Rc::clone(&kept);
    let builder = Isolate::builder().v8_allocator().rejection_tracker(move |_, _, reason, _| {
        let buffer: v8::Local<'_, v8::ArrayBuffer> = reason.try_into().unwrap();
        *keep.borrow_mut() = Some(buffer.get_backing_store());
    });
    let mut isolate = builder.build().unwrap();
    isolate.enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(8)").unwrap();
        assert_eq!(scope.bytes(&buffer).unwrap()[..], [0; 8]);
        scope.eval::<()>("Promise.reject(b); undefined").unwrap();
        let error = scope.bytes(&buffer).unwrap_err();
        assert!(matches!(error, Error::NotLent { .. }), "{error}");
        *kept.borrow_mut() = None;
        assert_eq!(scope.bytes(&buffer).unwrap()[..], [0; 8]);
    });
}

#[test]
fn the_listener_is_told_of_errors_that_no_code_gets() {
    start();
    let seen = Seen::default();
    let told = Rc::clone(&seen);
    let builder = Isolate::builder().message_listener(move |scope, message, thrown| {
        let line = message.get_line_number(scope).unwrap_or_default();
        told.borrow_mut().push(format!("{} in line {line}", thrown.to_rust_string_lossy(scope)));
    });
    let mut isolate = builder.build().unwrap();
    isolate.enter(|scope| {
        scope.eval::<()>("throw 'caught'").unwrap_err();
        assert!(seen.borrow().is_empty());
        scope.with_v8(|scope| {
            let code = v8::String::new(scope, "\nthrow 'uncaught'").unwrap();
            assert!(v8::Script::compile(scope, code, None).unwrap().run(scope).is_none());
        });
        assert_eq!(seen.take(), ["uncaught in line 2"]);
    });
}

#[test]
fn what_a_callback_holds_is_dropped_with_the_isolate_once() {
    let (store, dropped) = counted(vec![1; 8]);
    start();
    let held = store.clone();
    let mut isolate = Isolate::builder().rejection_tracker(move |_, _, _, _| drop(held.to_vec())).build().unwrap();
    let other = Isolate::new().unwrap();
    let again =
        Isolate::builder().message_listener(move |_, _, _| assert!(!format!("{other:?}").is_empty())).build().unwrap();
    isolate.enter(|scope| scope.eval::<()>("Promise.reject(1); undefined").unwrap());
    drop(store);
    // An isolate may hold another.
    drop(again);
    assert_eq!(dropped.get(), 0);
    drop(isolate);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn a_panic_in_a_callback_ends_the_process() {
    let Some(output) = in_child("callbacks::a_panic_in_a_callback_ends_the_process") else {
        start();
        let mut isolate =
            Isolate::builder().rejection_tracker(|_, _, _, _| panic!("the tracker failed")).build().unwrap();
        isolate.enter(|scope| scope.eval::<()>("Promise.reject(1); undefined").unwrap());
        return println!("the process lives");
    };
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("the tracker failed") && !told.contains("the process lives"), "{told}");
    assert!(!output.status.success());
}
