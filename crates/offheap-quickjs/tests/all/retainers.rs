//! What keeps a buffer alive.

use offheap_quickjs::{Handle, Isolate, JsArrayBuffer, JsArrayBufferView, Local, Scope, ScopeExt, SoughtStore};
use rquickjs::Module;

use crate::common::numbered;

/// What keeps the buffer that this source gives, besides the handle that is made for it.
fn retained(scope: &mut Scope<'_>, source: &str) -> Option<String> {
    let buffer: Handle<JsArrayBuffer> = scope.eval_buffer(source).unwrap().into_handle();
    let retainers = scope.retainers(&buffer).unwrap();
    assert_eq!(retainers.handles, 1, "{source}");
    retainers.path.map(|path| path.to_string())
}

#[test]
fn a_path_leads_from_a_root_of_script_to_the_buffer() {
    Isolate::new().unwrap().enter(|scope| {
        for (source, path) in [
            ("globalThis.a = new ArrayBuffer(100)", "globalThis.a"),
            ("globalThis.f = [0, 1, 2, { pixels: new Uint8Array(9) }]; f[3].pixels", "globalThis.f[3].pixels.buffer"),
            ("globalThis.f = (() => { const x = new ArrayBuffer(3); return () => x })(); f()", "globalThis.f (variable x)"),
            ("globalThis.f = (() => { let x = new ArrayBuffer(3); return function* () { yield x } })(); f().next().value",
             "globalThis.f (variable x)"),
            ("const top = { b: new ArrayBuffer(4) }; top.b", "top.b"),
            ("let alone = new ArrayBuffer(4); alone", "alone"),
            ("globalThis.map = new Map([[7, 1], ['k', new ArrayBuffer(5)]]); map.get('k')", "globalThis.map (value of \"k\" in the Map)"),
            ("globalThis.map = new Map([[new ArrayBuffer(5), 1]]); [...map.keys()][0]", "globalThis.map (key of the Map)"),
            ("globalThis.set = new Set([{ b: new ArrayBuffer(5) }]); [...set][0].b", "globalThis.set (element of the Set).b"),
            ("globalThis.f = (x => x).bind(null, new ArrayBuffer(6)); f()", "globalThis.f (bound value)"),
            ("class P { #x = new ArrayBuffer(9); get() { return this.#x } }; globalThis.p = new P(); p.get()", "globalThis.p.#x"),
            ("globalThis.s = { [Symbol('x')]: new ArrayBuffer(3) }; s[Object.getOwnPropertySymbols(s)[0]]",
             "globalThis.s[\"Symbol(x)\"]"),
            ("globalThis.o = { get ['a b']() { return o.x } }; Object.getPrototypeOf(o).x = new ArrayBuffer(2); delete o.x; o.x",
             "globalThis.__proto__.x"),
            ("globalThis.shared = [new SharedArrayBuffer(8)]; shared[0]", "globalThis.shared[0]"),
        ] {
            assert_eq!(retained(scope, source).as_deref(), Some(path), "{source}");
        }
    });
}

#[test]
fn a_buffer_that_only_rust_keeps_has_no_path() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(9)").unwrap().into_handle();
        let more = [buffer.clone(), buffer.clone()];
        let view =
            scope.eval::<Local<'_, JsArrayBufferView>>("new ArrayBuffer(1); globalThis.v = new Uint8Array(9)").unwrap();
        let retainers = scope.retainers(&buffer).unwrap();
        assert_eq!((retainers.handles, &retainers.path), (3, &None));
        assert!(retainers.to_string().contains("3 handles of Rust"), "{retainers}");
        let retainers = scope.retainers(&view).unwrap();
        assert_eq!((retainers.handles, retainers.path.unwrap().to_string().as_str()), (1, "globalThis.v.buffer"));
        drop(more);
        assert_eq!(scope.retainers(&buffer).unwrap().handles, 1);
    });
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
fn no_getter_and_no_proxy_is_asked() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope
            .eval_buffer(
                "globalThis.asked = 0;
                 const trap = new Proxy({}, { get() { asked += 1; return () => { asked += 1 } } });
                 globalThis.p = new Proxy({ inside: new ArrayBuffer(7) }, trap);
                 globalThis.g = { get x() { asked += 1 }, set x(y) { asked += 1 } };
                 Object.defineProperty(Object.prototype, '1073741825', { set() { asked += 1 }, configurable: true });
                 Map.prototype.forEach = Map.prototype.get = () => { asked += 1 };
                 const inside = p.inside; const before = asked; globalThis.asked = 0;
                 globalThis.q = new Proxy([new ArrayBuffer(8)], new Proxy({}, { get() { asked += 1 } })); const a = asked;
                 globalThis.kept = new Proxy({ deep: new ArrayBuffer(10) }, {}); globalThis.asked = 0; kept.deep",
            )
            .unwrap();
        let path = scope.retainers(&buffer).unwrap().path.unwrap().to_string();
        assert!(path.starts_with("globalThis.kept (") && path.ends_with(").deep"), "{path}");
        assert_eq!(scope.eval::<u32>("asked").unwrap(), 0);
    });
}

#[test]
fn the_buffers_over_stores_are_found_all_at_once() {
    Isolate::new().unwrap().enter(|scope| {
        let stores = [64, 65, 66].map(numbered);
        let part = stores[0].slice(8..16).unwrap();
        let whole = scope.expose(&stores[0]).unwrap();
        let partial = scope.expose(&part).unwrap();
        let other = scope.expose(&stores[1]).unwrap();
        scope.set_global("whole", &whole).unwrap();
        scope.set_global("part", &partial).unwrap();
        let sought = stores.each_ref().map(SoughtStore::from);
        let shown = |scope: &mut Scope<'_>| {
            scope
                .retainers_of(&sought)
                .unwrap()
                .into_iter()
                .map(|found| (found.handles, found.path.map(|path| path.to_string())))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(scope), [(2, Some("globalThis.whole".to_owned())), (1, None), (0, None)]);
        scope.eval::<()>("delete globalThis.whole").unwrap();
        drop((whole, other));
        assert_eq!(shown(scope), [(1, Some("globalThis.part".to_owned())), (0, None), (0, None)]);
        drop(partial);
        scope.eval::<()>("delete globalThis.part").unwrap();
        scope.collect();
        assert_eq!(shown(scope), [(0, None), (0, None), (0, None)]);
    });
}

#[test]
fn a_function_of_rust_may_ask_while_script_runs() {
    Isolate::new().unwrap().enter(|scope| {
        let ask = scope.function("ask", |scope, arguments| {
            let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
            Ok(scope.retainers(&buffer)?.path.map_or("none".to_owned(), |path| path.to_string()).into())
        });
        let ask = ask.unwrap();
        scope.set_global("ask", &ask).unwrap();
        assert_eq!(scope.eval::<String>("globalThis.b = [new ArrayBuffer(8)]; ask(b[0])").unwrap(), "globalThis.b[0]");
        let captured = "(() => { const x = new ArrayBuffer(8); globalThis.f = () => x; return ask(x) })()";
        assert_eq!(scope.eval::<String>(captured).unwrap(), "globalThis.f (variable x)");
    });
}

#[test]
fn a_store_that_another_isolate_has_is_not_found_here() {
    let store = numbered(64);
    let (mut here, mut there) = (Isolate::new().unwrap(), Isolate::new().unwrap());
    here.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("mine", &buffer).unwrap();
    });
    let found = there.enter(|scope| scope.retainers_of(&[SoughtStore::from(&store)]).unwrap());
    assert_eq!((found[0].handles, &found[0].path), (0, &None));
    let found = here.enter(|scope| scope.retainers_of(&[SoughtStore::from(&store)]).unwrap());
    assert_eq!(found[0].to_string(), "globalThis.mine");
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
