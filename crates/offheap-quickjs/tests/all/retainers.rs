//! What keeps a buffer alive.

use offheap_conformance::retainers::{check_retainers, retained};
use offheap_quickjs::{Isolate, ScopeExt};
use rquickjs::Module;

#[test]
fn retainers_are_told_as_on_every_engine() {
    check_retainers(
        &|| Isolate::new().unwrap(),
        &[
            (
                "globalThis.map = new Map([[7, 1], ['k', new ArrayBuffer(5)]]); map.get('k')",
                "globalThis.map (value of \"k\" in the Map)",
            ),
            (
                "globalThis.map = new Map([[new ArrayBuffer(5), 1]]); [...map.keys()][0]",
                "globalThis.map (key of the Map)",
            ),
            ("globalThis.f = (x => x).bind(null, new ArrayBuffer(6)); f()", "globalThis.f (bound value)"),
            (
                "globalThis.o = { get ['a b']() { return o.x } }; Object.getPrototypeOf(o).x = new ArrayBuffer(2); delete o.x; o.x",
                "globalThis.__proto__.x",
            ),
        ],
    );
}

#[test]
fn no_function_that_prepares_stack_traces_is_called() {
    Isolate::new().unwrap().enter(|scope| {
        // An export that never gets a value. QuickJS refuses to read it, with an error that has a stack trace.
        let source = "import * as ns from 'm'; globalThis.ns = ns; throw 1; export let never = 1;";
        scope.with_ctx(|ctx| {
            let _ = Module::declare(ctx.clone(), "m", source).and_then(|module| module.eval());
            ctx.catch();
        });
        let buffer = scope
            .eval_buffer(
                "globalThis.calls = 0;
                 for (let i = 0; i < 100; i++) globalThis['kept' + i] = [{ inner: [{}] }];
                 globalThis.last = { x: { b: new ArrayBuffer(8) } };
                 Error.prepareStackTrace = () => {
                     calls++;
                     for (let i = 0; i < 100; i++) delete globalThis['kept' + i];
                     return '';
                 };
                 last.x.b",
            )
            .unwrap()
            .into_handle();
        let retainers = scope.retainers(&buffer).unwrap();
        assert_eq!(scope.eval::<f64>("calls").unwrap(), 0.0, "script ran");
        assert_eq!(retainers.path.unwrap().to_string(), "globalThis.last.x.b");
    });
}

#[test]
fn what_quickjs_does_not_tell_is_said() {
    Isolate::new().unwrap().enter(|scope| {
        let source =
            "globalThis.g = (function* () { const x = new ArrayBuffer(4); yield x; yield x })(); g.next().value";
        let buffer = scope.eval_buffer(source).unwrap();
        let retainers = scope.retainers(&buffer).unwrap();
        assert!(retainers.path.is_none() && retainers.unseen.unwrap().contains("generators"), "{retainers:?}");
        assert!(retainers.to_string().starts_with("1 handle of Rust, and perhaps "), "{retainers}");
    });
}

#[test]
fn the_result_of_a_promise_is_seen() {
    Isolate::new().unwrap().enter(|scope| {
        scope.eval::<()>("globalThis.p = Promise.resolve(new ArrayBuffer(3)); p.then(x => { globalThis.it = new WeakRef(x) }); 0").ok();
        scope.run_microtasks().unwrap();
        assert_eq!(retained(scope, "it.deref()").as_deref(), Some("globalThis.p (result of the promise)"));
    });
}
