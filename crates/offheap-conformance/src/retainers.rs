//! What keeps a buffer alive, in the words of an engine with script.

use offheap_engine::{Handle, Host, Isolate, JsArrayBuffer, JsArrayBufferView, Local, Scope, SoughtStore};

use crate::stores::numbered;

/// Script whose value is a buffer, with the path that leads to it on every engine.
const PATHS: &[(&str, &str)] = &[
    ("globalThis.a = new ArrayBuffer(100)", "globalThis.a"),
    ("globalThis.f = [0, 1, 2, { pixels: new Uint8Array(9) }]; f[3].pixels", "globalThis.f[3].pixels.buffer"),
    ("globalThis.f = (() => { const x = new ArrayBuffer(3); return () => x })(); f()", "globalThis.f (variable x)"),
    (
        "globalThis.f = (() => { let x = new ArrayBuffer(3); return function* () { yield x } })(); f().next().value",
        "globalThis.f (variable x)",
    ),
    ("const top = { b: new ArrayBuffer(4) }; top.b", "top.b"),
    ("let alone = new ArrayBuffer(4); alone", "alone"),
    ("globalThis.set = new Set([{ b: new ArrayBuffer(5) }]); [...set][0].b", "globalThis.set (element of the Set).b"),
    (
        "class P { #x = new ArrayBuffer(9); get() { return this.#x } }; globalThis.p = new P(); p.get()",
        "globalThis.p.#x",
    ),
    (
        "globalThis.s = { [Symbol('x')]: new ArrayBuffer(3) }; s[Object.getOwnPropertySymbols(s)[0]]",
        "globalThis.s[\"Symbol(x)\"]",
    ),
    ("globalThis.shared = [new SharedArrayBuffer(8)]; shared[0]", "globalThis.shared[0]"),
];

/// Checks [`Scope::retainers`] and [`Scope::retainers_of`]. `make` makes isolates. `paths` are further sources of buffers, with the
/// paths that this engine gives.
///
/// # Panics
/// If the engine does something else than it should.
pub fn check_retainers<H: Host>(make: &dyn Fn() -> Isolate<H>, paths: &[(&str, &str)]) {
    make().enter(|scope| {
        for &(source, path) in PATHS.iter().chain(paths) {
            assert_eq!(retained(scope, source).as_deref(), Some(path), "{source}");
        }
    });
    for check in [
        a_buffer_that_only_rust_keeps_has_no_path::<H>,
        no_getter_and_no_proxy_is_asked::<H>,
        the_buffers_over_stores_are_found_all_at_once::<H>,
        a_function_of_rust_may_ask_while_script_runs::<H>,
    ] {
        check(&mut make());
    }
    a_store_that_another_isolate_has_is_not_found_here(&mut make(), &mut make());
}

/// What keeps the buffer that this source gives, besides the handle that is made for it.
///
/// # Panics
/// If the source gives no buffer, or there are other handles.
pub fn retained<H: Host>(scope: &mut Scope<'_, H>, source: &str) -> Option<String> {
    let buffer: Handle<JsArrayBuffer> = scope.eval_buffer(source).unwrap().into_handle();
    let retainers = scope.retainers(&buffer).unwrap();
    assert_eq!(retainers.handles, 1, "{source}");
    retainers.path.map(|path| path.to_string())
}

fn a_buffer_that_only_rust_keeps_has_no_path<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
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

fn no_getter_and_no_proxy_is_asked<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
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
        assert!(path.starts_with("globalThis.kept") && path.ends_with(".deep"), "{path}");
        assert_eq!(scope.eval::<u32>("asked").unwrap(), 0);
    });
}

fn the_buffers_over_stores_are_found_all_at_once<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        let stores = [64, 65, 66].map(numbered);
        let part = stores[0].slice(8..16).unwrap();
        let whole = scope.expose(&stores[0]).unwrap();
        let partial = scope.expose(&part).unwrap();
        let other = scope.expose(&stores[1]).unwrap();
        scope.set_global("whole", &whole).unwrap();
        scope.set_global("part", &partial).unwrap();
        let sought = stores.each_ref().map(SoughtStore::from);
        let shown = |scope: &mut Scope<'_, H>| {
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

fn a_function_of_rust_may_ask_while_script_runs<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
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

fn a_store_that_another_isolate_has_is_not_found_here<H: Host>(here: &mut Isolate<H>, there: &mut Isolate<H>) {
    let store = numbered(64);
    here.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("mine", &buffer).unwrap();
    });
    let found = there.enter(|scope| scope.retainers_of(&[SoughtStore::from(&store)]).unwrap());
    assert_eq!((found[0].handles, &found[0].path), (0, &None));
    let found = here.enter(|scope| scope.retainers_of(&[SoughtStore::from(&store)]).unwrap());
    assert_eq!(found[0].to_string(), "globalThis.mine");
}
