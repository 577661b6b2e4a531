//! Native functions with a scope: what all engines promise, and what is V8's own.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use offheap_conformance::check_functions;
use offheap_v8::{Error, Isolate, IsolateExt, JsArrayBuffer, Local, ScopeExt, Source, Value, script_site, v8};

use crate::common::{counted, isolate, start};

#[test]
fn values_and_functions_of_v8() {
    start();
    check_functions(&|| Isolate::new().expect("an isolate"));
}

#[test]
fn script_that_is_stopped_does_not_go_on_after_a_function() {
    let mut isolate = isolate();
    let stop = isolate.thread_safe_handle();
    let seen = Rc::new(Cell::new(0));
    isolate.enter(|scope| {
        let told = Rc::clone(&seen);
        let function = scope.function("stop", move |scope, _| {
            stop.terminate_execution();
            let stopped = scope.eval::<()>("for (;;) {}").unwrap_err();
            assert!(matches!(stopped, Error::Script { .. }), "{stopped}");
            told.set(told.get() + 1);
            Ok(().into())
        });
        scope.set_global("stop", function.unwrap()).unwrap();
        let error =
            scope.eval::<()>("try { stop() } catch {} finally { globalThis.after = 1 } for (;;) {}").unwrap_err();
        assert!(error.to_string().contains("terminated"), "{error}");
        assert_eq!(scope.global::<Option<u32>>("after").unwrap(), None);
        assert_eq!(scope.eval::<u32>("1 + 1").unwrap(), 2);
    });
    assert_eq!(seen.get(), 1);
}

#[test]
fn script_that_is_stopped_in_with_v8_does_not_go_on_after_a_function() {
    let mut isolate = isolate();
    let stop = isolate.thread_safe_handle();
    isolate.enter(|scope| {
        let function = scope.function("stop", move |scope, _| {
            stop.terminate_execution();
            scope.with_v8(|scope| {
                let code = v8::String::new(scope, "for (;;) {}").unwrap();
                assert!(v8::Script::compile(scope, code, None).unwrap().run(scope).is_none());
            });
            let more = scope.eval::<u32>("1 + 1");
            assert!(matches!(more, Err(Error::Script(_))), "{more:?}");
            Ok(().into())
        });
        scope.set_global("stop", function.unwrap()).unwrap();
        let error = scope.eval::<()>("try { stop() } catch {} finally { globalThis.after = 1 }").unwrap_err();
        assert!(error.to_string().contains("terminated"), "{error}");
        assert_eq!(scope.global::<Option<u32>>("after").unwrap(), None);
        assert_eq!(scope.eval::<u32>("1 + 1").unwrap(), 2);
    });
}

#[test]
fn a_panic_of_with_v8_leaves_none_for_a_later_step() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let function = scope.function("panics", |_, _| panic!("in the function")).unwrap();
        scope.set_global("panics", &function).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            scope.with_v8(|scope| {
                let code = v8::String::new(scope, "try { panics() } catch {}").unwrap();
                v8::Script::compile(scope, code, None).unwrap().run(scope).unwrap();
                panic!("after it");
            })
        }));
        let panicked = panicked.unwrap_err();
        assert_eq!(panicked.downcast_ref::<&str>(), Some(&"after it"));
        assert_eq!(scope.eval::<u32>("1 + 1").unwrap(), 2);
    });
}

#[test]
fn a_heap_that_is_full_in_a_function_stops_all_script() {
    start();
    let mut isolate = Isolate::builder().heap_limits(0, 32 << 20).build().unwrap();
    isolate.enter(|scope| {
        let function = scope.function("fill", |scope, _| {
            let full = scope.eval::<()>("{ const all = []; for (;;) all.push(new Array(1000).fill(1)) }");
            assert!(matches!(full, Err(Error::HeapLimit { .. })));
            // Script is still on the stack, so nothing is restored here.
            let again = scope.eval::<()>("for (;;) {}");
            assert!(matches!(again, Err(Error::Script { .. })));
            Ok(().into())
        });
        scope.set_global("fill", function.unwrap()).unwrap();
        let error = scope.eval::<()>("fill(); globalThis.after = 1; for (;;) {}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "V8's heap is full: the limit is 33554432 bytes, and the script needed more, so it was stopped; keep fewer \
             objects, or set a higher limit"
        );
        assert_eq!(scope.eval::<u32>("1 + 1").unwrap(), 2);
        assert_eq!(scope.global::<Option<u32>>("after").unwrap(), None);
    });
}

#[test]
fn script_that_is_stopped_while_its_error_is_described_stops() {
    for endless in ["toString() { for (;;); }", "toString: () => 'told', get stack() { for (;;); }"] {
        let mut isolate = isolate();
        let handle = isolate.thread_safe_handle();
        isolate.enter(|scope| {
            let throws = format!("throw {{ {endless} }}");
            let function =
                scope.function("f", move |scope, _| scope.eval::<()>(throws.as_str()).map(|()| Value::Undefined));
            scope.set_global("f", function.unwrap()).unwrap();
            let watchdog = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(100));
                handle.terminate_execution();
            });
            let error = scope.eval::<()>("try { f() } catch {} globalThis.after = 1").unwrap_err();
            watchdog.join().unwrap();
            assert_eq!(error.to_string(), "V8: execution was terminated");
            assert_eq!(scope.global::<Option<u32>>("after").unwrap(), None, "{endless}");
        });
    }
}

#[test]
fn v8_s_own_scope_is_lent_in_a_function() {
    let other = isolate();
    isolate().enter(|scope| {
        let function = scope.function("where", |scope, arguments| {
            let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
            let place = scope.with_v8(|scope| script_site(scope).map(|site| site.to_string()));
            assert_eq!(scope.bytes(&buffer)?.len(), 3);
            Ok(place.unwrap_or_default().into())
        });
        scope.set_global("where", function.unwrap()).unwrap();
        let source = Source::named("place.js", "\n  where(new ArrayBuffer(3))");
        assert_eq!(scope.eval::<String>(source).unwrap(), "place.js:2:3");

        // The arguments of a function, while another isolate is the current one.
        let other = std::cell::RefCell::new(other);
        let function = scope.function("across", move |scope, arguments| {
            other.borrow_mut().enter(|within| {
                within.with_v8(|_: &mut v8::PinScope<'_, '_>| {
                    let text: String = arguments.get(scope, 0)?;
                    let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 1)?;
                    Ok(format!("{text}{}", scope.bytes(&buffer)?.len()).into())
                })
            })
        });
        scope.set_global("across", function.unwrap()).unwrap();
        assert_eq!(
            scope.eval::<String>("across('a' + 'b'.repeat(20), new ArrayBuffer(5))").unwrap(),
            format!("a{}5", "b".repeat(20))
        );
    });
}

#[test]
fn a_function_is_dropped_once_v8_has_collected_it() {
    let mut isolate = isolate();
    let held = Rc::new(());
    isolate.enter(|scope| {
        for _ in 0..100 {
            let captured = Rc::clone(&held);
            let function = scope.function("f", move |_, _| {
                let _ = &captured;
                Ok(().into())
            });
            scope.set_global("f", function.unwrap()).unwrap();
            scope.eval::<()>("f()").unwrap();
        }
        assert_eq!(Rc::strong_count(&held), 101);
        scope.collect();
        scope.eval::<()>("undefined").unwrap();
        // The last one is a global.
        assert_eq!(Rc::strong_count(&held), 2);
    });
    drop(isolate);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn passing_a_large_buffer_does_not_make_v8_collect() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let function = scope.function("f", |scope, arguments| {
            arguments.get::<Local<'_, JsArrayBuffer>>(scope, 0)?;
            Ok(().into())
        });
        scope.set_global("f", function.unwrap()).unwrap();
        scope.eval::<()>("globalThis.large = new ArrayBuffer(64 << 20); undefined").unwrap();
        scope.collect();
        let (store, dropped) = counted(vec![1; 8]);
        drop(scope.expose(&store).unwrap());
        drop(store);
        // 6.25 GiB in all, of one buffer that script keeps.
        scope.eval::<()>("for (let i = 0; i < 100; i++) f(large)").unwrap();
        assert_eq!(dropped.get(), 0);
        scope.collect();
        assert_eq!(dropped.get(), 1);
    });
}
