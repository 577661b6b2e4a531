//! Values of script, exceptions, and positions in script.

use offheap_conformance::one_of_each_error;
use offheap_v8::{Engine, Error, Isolate, IsolateExt, ScopeExt, Throw, Value, ViewState, script_site, v8};

use crate::common::{isolate, set, start};

#[test]
fn values_come_back_as_what_they_are() {
    isolate().enter(|scope| {
        assert_eq!(scope.eval::<f64>("1.5").unwrap(), 1.5);
        assert_eq!(scope.eval::<String>("'häß' + '\\u{1f600}'").unwrap(), "häß\u{1f600}");
        assert!(scope.eval::<bool>("true").unwrap());
        assert_eq!(scope.eval::<Option<u8>>("undefined").unwrap(), None);
        assert_eq!(scope.eval::<i16>("-300").unwrap(), -300);
        for (source, other) in [("256", "u8"), ("1.5", "u8"), ("-1", "u8"), ("'1'", "u8"), ("NaN", "u8")] {
            let error = scope.eval::<u8>(source).unwrap_err().to_string();
            assert!(error.contains(other), "{source}: {error}");
        }
        assert!(matches!(scope.eval("() => 1").unwrap(), Value::Function(_)));
    });
}

#[test]
fn a_value_of_another_type_is_named_with_the_type_that_was_asked_for() {
    isolate().enter(|scope| {
        assert_eq!(
            scope.eval::<u32>("'x'").unwrap_err().to_string(),
            "V8: the script's value is the string \"x\", but a whole number that fits in `u32` was expected; ask for its own type, or convert it in script"
        );
        let error = scope.eval::<String>("({})").unwrap_err().to_string();
        assert!(error.contains("an object, but a string was"), "{error}");
    });
}

#[test]
fn an_error_of_script_says_where_it_was_thrown() {
    isolate().enter(|scope| {
        let says = |error: Error, text: &str| assert_eq!(error.to_string(), text);
        says(
            scope.eval::<()>("\n  null.x").unwrap_err(),
            "V8: TypeError: Cannot read properties of null (reading 'x') at <anonymous>:2:8",
        );
        let source = "function f() { throw new RangeError('far') }\n//# sourceURL=a(b).js\nf()";
        says(scope.eval::<()>(source).unwrap_err(), "V8: RangeError: far at a(b).js:1:22");
        says(
            scope.eval::<()>("[1].map(() => eval('throw new Error(1)'))\n//# sourceURL=c.js").unwrap_err(),
            "V8: Error: 1 at <anonymous>:1:7",
        );
        says(
            scope.eval::<()>("[1].map(BigInt.asIntN)\n//# sourceURL=d.js").unwrap_err(),
            "V8: TypeError: Cannot convert 0 to a BigInt at d.js:1:5",
        );
        says(scope.eval::<()>("throw 1").unwrap_err(), "V8: 1");
    });
}

#[test]
fn what_is_thrown_is_an_error_with_its_stack() {
    isolate().enter(|scope| {
        let error = scope.eval::<()>("function f() {\n  throw new RangeError('too far')\n}\nf()").unwrap_err();
        assert_eq!(error.to_string(), "V8: RangeError: too far at <anonymous>:2:9");
        let Error::Script(thrown) = error else { panic!("{error}") };
        assert_eq!(thrown.message(), "RangeError: too far");
        let stack = thrown.stack();
        assert!(format!("{thrown:?}").contains("<anonymous>:2:9\n    at f (<anonymous>:2:9)\n"), "{thrown:?}");
        assert!(stack.lines().next().unwrap().trim().starts_with("at f (<anonymous>:2:"), "{stack}");
        for source in ["throw null", "throw Object.create(null)", "throw { toString() { throw 1 } }", "{ syntax"] {
            assert!(matches!(scope.eval::<()>(source), Err(Error::Script { .. })), "{source}");
        }
        assert_eq!(scope.eval::<u32>("1").unwrap(), 1);
    });
}

#[test]
fn v8_throws_each_error_in_its_class() {
    isolate().enter(|scope| {
        scope.with_v8(|scope| {
            for error in one_of_each_error() {
                let (class, message, code) = (error.class(), error.to_string(), error.code());
                v8::tc_scope!(let caught, scope);
                error.throw(caught);
                let thrown = caught.exception().unwrap();
                assert_eq!(thrown.to_rust_string_lossy(caught), format!("{class}: {message}"));
                let name = v8::String::new(caught, "code").unwrap();
                let thrown: v8::Local<'_, v8::Object> = thrown.try_into().unwrap();
                assert_eq!(thrown.get(caught, name.into()).unwrap().to_rust_string_lossy(caught), code);
                caught.reset();
            }
        });
    });
}

#[test]
fn microtasks_run_when_asked() {
    isolate().enter(|scope| {
        scope.eval::<()>("globalThis.n = 0; Promise.resolve().then(() => { n = 1 }); undefined").unwrap();
        assert_eq!(scope.eval::<u32>("n").unwrap(), 0);
        scope.run_microtasks().unwrap();
        assert_eq!(scope.eval::<u32>("n").unwrap(), 1);
    });
}

#[test]
fn script_that_runs_too_long_is_stopped_from_another_thread() {
    let mut isolate = isolate();
    let handle = isolate.thread_safe_handle();
    let stops = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        handle.terminate_execution();
    });
    isolate.enter(|scope| {
        let error = scope.eval::<()>("for (;;) {}").unwrap_err().to_string();
        assert!(error.contains("terminated"), "{error}");
        scope.with_v8(|scope| scope.cancel_terminate_execution());
        assert_eq!(scope.eval::<u32>("2").unwrap(), 2);
    });
    stops.join().unwrap();
}

#[test]
fn places_are_those_of_the_script() {
    fn place(scope: &mut v8::PinScope<'_, '_>, _: v8::FunctionCallbackArguments<'_>, mut value: v8::ReturnValue<'_>) {
        let site = script_site(scope).map(|site| site.to_string()).unwrap_or_default();
        value.set(v8::String::new(scope, &site).unwrap().into());
    }
    isolate().enter(|scope| {
        scope.with_v8(|scope| {
            let function = v8::Function::new(scope, place).unwrap();
            set(scope, "place", function.into());
            assert!(script_site(scope).is_none());
        });
        let site = scope.eval::<String>("\n  place()\n//# sourceURL=a.js").unwrap();
        assert_eq!(site, "a.js:2:3");
    });
}

#[test]
fn views_are_seen_as_v8_sees_them() {
    start();
    let mut engine = Isolate::new().unwrap();
    let view = engine.evaluate_view("new Uint16Array(new Uint8Array([1, 2, 3, 4, 5, 6]).buffer, 2, 2)").unwrap();
    assert_eq!(view, ViewState { byte_offset: 2, byte_length: 4, contents: vec![3, 4, 5, 6] });
    let small = engine.evaluate_view("new Uint8Array([9])").unwrap();
    assert_eq!(small.contents, [9]);
    let detached = "(() => { const v = new Uint8Array(new ArrayBuffer(8), 4); v.buffer.transfer(); return v })()";
    let gone = engine.evaluate_view(detached).unwrap();
    assert_eq!(gone, ViewState { byte_offset: 0, byte_length: 0, contents: vec![] });
    assert!(matches!(engine.evaluate_view("new ArrayBuffer(1)"), Err(Error::NotAnArrayBuffer { .. })));
}
