//! ES modules that functions of the program find and read.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use offheap_v8::{Error, Isolate, IsolateBuilder, ScopeExt, Value, evaluate_module, v8};

use crate::common::{in_child, run, start};

/// Adds a loader that knows these modules, whose specifiers are their names.
fn loading(builder: IsolateBuilder, modules: &[(&'static str, &str)]) -> IsolateBuilder {
    let modules: HashMap<&str, String> = modules.iter().map(|&(name, text)| (name, text.to_owned())).collect();
    builder.loader(
        |_: &str, specifier: &str| Ok::<_, String>(specifier.to_owned()),
        move |name: &str| modules.get(name).cloned().ok_or("not found"),
    )
}

fn isolate(modules: &[(&'static str, &str)]) -> Isolate {
    start();
    loading(Isolate::builder(), modules).build().unwrap()
}

fn message(error: Error) -> String {
    let Error::Script(error) = error else { panic!("{error}") };
    error.message().to_owned()
}

#[test]
fn a_module_runs_with_everything_that_it_imports_and_each_once() {
    let counter = "globalThis.loads = (globalThis.loads ?? 0) + 1; export let n = 1; export const up = () => ++n";
    let mut isolate = isolate(&[
        ("counter", counter),
        ("a", "import { up } from 'counter'; import 'b'; export default up()"),
        ("b", "import { up } from 'counter'; import 'a'; export default up()"),
    ]);
    isolate.enter(|scope| {
        let main =
            "import a from 'a'; import b from 'b'; import { n } from 'counter'; globalThis.all = `${a} ${b} ${n}`";
        assert!(scope.evaluate_module("main", main).unwrap());
        assert_eq!(scope.eval::<String>("all").unwrap(), "3 2 3");
        assert_eq!(scope.eval::<u32>("loads").unwrap(), 1);
        // A text is always run, and later imports of the name find it.
        scope.evaluate_module("main", "export default 5").unwrap();
        scope.evaluate_module("other", "import five from 'main'; globalThis.all = `${five}`").unwrap();
        assert_eq!(scope.eval::<String>("all").unwrap(), "5");
    });
}

#[test]
fn the_resolver_is_told_who_imports() {
    start();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let seen_by_resolver = Rc::clone(&seen);
    let resolver = move |importer: &str, specifier: &str| {
        seen_by_resolver.borrow_mut().push(format!("{importer}>{specifier}"));
        Ok::<_, String>(format!("{importer}/{specifier}"))
    };
    let loader = |name: &str| {
        Ok::<_, String>(match name {
            "main/a" => "import 'b'; import('c'); globalThis.url = import.meta.url".to_owned(),
            _ => String::new(),
        })
    };
    let mut isolate = Isolate::builder().loader(resolver, loader).build().unwrap();
    isolate.enter(|scope| {
        assert!(scope.evaluate_module("main", "import 'a'").unwrap());
        assert_eq!(scope.eval::<String>("url").unwrap(), "main/a");
        scope.eval::<()>("import('d'); undefined").unwrap();
    });
    assert_eq!(*seen.borrow(), ["main>a", "main/a>b", "main/a>c", ">d"]);
}

#[test]
fn what_cannot_be_loaded_is_an_error_and_may_be_tried_again() {
    start();
    let is_there = Rc::new(Cell::new(false));
    let asked = Rc::clone(&is_there);
    let loader = move |name: &str| match (name, asked.get()) {
        ("b", false) => Err("not there yet"),
        ("b", true) => Ok("globalThis.done = 'yes'".to_owned()),
        ("broken", _) => Ok("let let".to_owned()),
        ("throws", _) => Ok("throw new RangeError('far')".to_owned()),
        _ => Ok("import 'b'".to_owned()),
    };
    let resolver = |_: &str, specifier: &str| match specifier {
        "nowhere" => Err("it names nothing"),
        specifier => Ok(specifier.to_owned()),
    };
    let mut isolate = Isolate::builder().loader(resolver, loader).build().unwrap();
    isolate.enter(|scope| {
        for (source, expected) in [
            ("import 'a'", "ReferenceError: Error loading module 'b': not there yet"),
            ("import 'nowhere'", "ReferenceError: Error resolving module 'nowhere' from 'main': it names nothing"),
            ("import 'broken'", "SyntaxError: "),
            ("import 'throws'", "RangeError: far"),
            ("import { none } from 'throws'", "SyntaxError: "),
            ("let let", "SyntaxError: "),
            ("await 0; null.x", "TypeError: "),
            (
                "import 'a' with { type: 'json' }",
                "ReferenceError: Error resolving module 'a' from 'main': import attributes are not supported; leave `with` out",
            ),
        ] {
            let told = message(scope.evaluate_module("main", source).unwrap_err());
            assert!(told.starts_with(expected), "{source}: {told}");
        }
        scope.eval::<()>("import('a').catch((error) => { globalThis.done = error.message }); undefined").unwrap();
        scope.run_microtasks().unwrap();
        assert_eq!(scope.eval::<String>("done").unwrap(), "Error loading module 'b': not there yet");
        is_there.set(true);
        assert!(scope.evaluate_module("main", "import 'a'").unwrap());
        assert_eq!(scope.eval::<String>("done").unwrap(), "yes");
    });
}

#[test]
fn without_a_loader_or_in_another_context_the_error_says_so() {
    start();
    Isolate::new().unwrap().enter(|scope| {
        let told = message(scope.evaluate_module("main", "").unwrap_err());
        assert_eq!(told, "ReferenceError: there is no module loader; set one with `IsolateBuilder::loader`");
    });
    isolate(&[("a", "globalThis.a = 1")]).enter(|scope| {
        scope.with_v8(|scope| {
            let other = v8::Context::new(scope, v8::ContextOptions::default());
            let scope = &mut v8::ContextScope::new(scope, other);
            run(scope, "globalThis.told = ''; import('a').catch((error) => { told = error.message })");
            scope.perform_microtask_checkpoint();
            let told = run(scope, "told").to_rust_string_lossy(scope);
            assert!(told.contains("only in the isolate's own context"), "{told}");
        });
    });
}

#[test]
fn a_module_that_waits_has_not_ended() {
    isolate(&[]).enter(|scope| {
        let source = "await new Promise((resolve) => { globalThis.go = resolve }); globalThis.done = 1";
        assert!(!scope.evaluate_module("main", source).unwrap());
        scope.eval::<()>("go()").unwrap();
        scope.run_microtasks().unwrap();
        assert_eq!(scope.eval::<u32>("done").unwrap(), 1);
    });
}

#[test]
fn long_chains_of_imports_need_no_stack() {
    start();
    const LAST: u32 = 6_000;
    let loader = |name: &str| {
        let number: u32 = name.parse().map_err(|_| "not a number")?;
        Ok::<_, &str>(if number < LAST { format!("import '{}'", number + 1) } else { String::new() })
    };
    let mut isolate =
        Isolate::builder().loader(|_: &str, name: &str| Ok::<_, String>(name.to_owned()), loader).build().unwrap();
    isolate.enter(|scope| {
        // V8 itself goes through the chain by recursion, and throws.
        let told = message(scope.evaluate_module("main", "import '0'").unwrap_err());
        assert_eq!(told, "RangeError: Maximum call stack size exceeded");
    });
}

/// A loader that panics at its first call for "b".
fn failing() -> Isolate {
    start();
    let fails = Cell::new(true);
    let loader = move |name: &str| match name {
        "b" if fails.replace(false) => panic!("the loader failed"),
        "b" => Ok::<_, String>("globalThis.b = 1".to_owned()),
        _ => Ok("import 'b'".to_owned()),
    };
    Isolate::builder().loader(|_: &str, name: &str| Ok::<_, String>(name.to_owned()), loader).build().unwrap()
}

#[test]
fn a_panic_in_a_loader_leaves_nothing_behind() {
    let mut isolate = failing();
    let attempt = std::panic::AssertUnwindSafe(|| isolate.enter(|scope| scope.evaluate_module("main", "import 'a'")));
    std::panic::catch_unwind(attempt).unwrap_err();
    isolate.enter(|scope| {
        scope.evaluate_module("main", "import 'a'").unwrap();
        assert_eq!(scope.eval::<u32>("b").unwrap(), 1);
    });
}

#[test]
fn a_panic_in_a_loader_that_script_called_ends_the_process() {
    let Some(output) = in_child("modules::a_panic_in_a_loader_that_script_called_ends_the_process") else {
        failing().enter(|scope| scope.eval::<()>("import('a').catch(() => {}); undefined").unwrap());
        return println!("the process lives");
    };
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("the loader failed") && !told.contains("the process lives"), "{told}");
    assert!(!output.status.success());
}

#[test]
fn script_imports_a_module_whose_code_is_running() {
    let mut isolate = isolate(&[
        ("child", "import('main').then(({ n }) => { globalThis.child = n })"),
        ("later", "globalThis.order += ' later'; throw 7"),
    ]);
    isolate.enter(|scope| {
        let main = "import 'child'; import('main').then(({ n }) => { globalThis.own = n }); export const n = 5";
        assert!(scope.evaluate_module("main", main).unwrap());
        assert_eq!([scope.global::<u32>("own").unwrap(), scope.global("child").unwrap()], [5, 5]);
        // An imported module runs after the code that is running.
        let order =
            "globalThis.order = ''; import('later').catch((thrown) => { order += ` ${thrown}` }); order += 'now'";
        assert!(scope.evaluate_module("order", order).unwrap());
        assert_eq!(scope.global::<String>("order").unwrap(), "now later 7");
        // Where a native function runs microtasks, the code is still running.
        let microtasks = scope.function("microtasks", |scope, _| scope.run_microtasks().map(|()| Value::Undefined));
        scope.set_global("microtasks", microtasks.unwrap()).unwrap();
        let main = "import('main').catch((error) => { globalThis.told = String(error) }); microtasks()";
        assert!(scope.evaluate_module("main", main).unwrap());
        let told = "ReferenceError: Error importing module 'main': microtasks ran in the middle of its code";
        assert_eq!(scope.global::<String>("told").unwrap(), told);
    });
}

#[test]
fn script_imports_what_a_panic_in_a_loader_left() {
    let mut isolate = failing();
    let attempt = std::panic::AssertUnwindSafe(|| isolate.enter(|scope| scope.evaluate_module("main", "import 'a'")));
    std::panic::catch_unwind(attempt).unwrap_err();
    isolate.enter(|scope| {
        scope.eval::<()>("import('a').then(() => { globalThis.a = 1 }); undefined").unwrap();
        scope.run_microtasks().unwrap();
        assert_eq!([scope.global::<u32>("a").unwrap(), scope.global("b").unwrap()], [1, 1]);
    });
}

#[test]
fn with_v8_has_the_promise_of_a_module() {
    isolate(&[]).enter(|scope| {
        scope.with_v8(|scope| {
            let promise = evaluate_module(scope, "main", "throw 7").unwrap();
            assert_eq!(promise.state(), v8::PromiseState::Rejected);
            assert!(promise.result(scope).is_number());
        });
    });
}
