//! What keeps a buffer alive.

use offheap_conformance::retainers::{check_retainers, retained};
use offheap_v8::{ScopeExt, v8};

use crate::common::isolate;

#[test]
fn retainers_are_told_as_on_every_engine() {
    check_retainers(
        &isolate,
        &[
            (
                "globalThis.map = new Map([[7, 1], ['k', new ArrayBuffer(5)]]); map.get('k')",
                "globalThis.map (entry of the Map)",
            ),
            (
                "globalThis.map = new Map([[new ArrayBuffer(5), 1]]); [...map.keys()][0]",
                "globalThis.map (entry of the Map)",
            ),
            ("globalThis.f = (x => x).bind(null, new ArrayBuffer(6)); f()", "globalThis.f (bound argument 0)"),
        ],
    );
}

#[test]
fn a_handle_of_the_crate_v8_is_a_root_of_its_own() {
    isolate().enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.own = [new ArrayBuffer(77)]; own[0]").unwrap();
        let kept = scope.with_v8(|scope| {
            let global = scope.get_current_context().global(scope);
            let name = v8::String::new(scope, "own").unwrap();
            let own = v8::Local::<v8::Object>::try_from(global.get(scope, name.into()).unwrap()).unwrap();
            global.delete(scope, name.into());
            let inside = own.get_index(scope, 0).unwrap();
            (v8::Global::new(scope, own), v8::Global::new(scope, inside))
        });
        let (array, inside) = kept;
        assert_eq!(
            scope.retainers(&buffer).unwrap().to_string(),
            "a `v8::Global` of the program, and 1 handle of Rust"
        );
        drop(inside);
        let shown = scope.retainers(&buffer).unwrap().to_string();
        assert_eq!(shown, "a `v8::Global` of the program[0], and 1 handle of Rust");
        drop(array);
        assert_eq!(scope.retainers(&buffer).unwrap().to_string(), "only 1 handle of Rust");
    });
}

#[test]
fn variables_of_modules_and_of_suspended_functions_are_seen() {
    let resolver = |_: &str, name: &str| Ok::<_, String>(name.to_owned());
    let mut isolate =
        offheap_v8::Isolate::builder().loader(resolver, |_: &str| Err::<String, _>("none")).build().unwrap();
    isolate.enter(|scope| {
        scope.evaluate_module("main", "const held = [new ArrayBuffer(8)]; globalThis.get = () => held[0]").unwrap();
        assert_eq!(retained(scope, "get()").as_deref(), Some("globalThis.get (variable held)[0]"));
        let suspended =
            "globalThis.g = (function* () { const x = new ArrayBuffer(4); yield x; yield x })(); g.next().value";
        assert_eq!(retained(scope, suspended).as_deref(), Some("globalThis.g (variable of the suspended function)"));
        assert_eq!(
            retained(scope, "Promise.resolve(1).then(() => b); let b = new ArrayBuffer(3); b").as_deref(),
            Some("b")
        );
    });
}
