//! Script: exceptions and their places, microtasks, detach keys, modules.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use offheap_quickjs::offheap::{self, UniqueStore};
use offheap_quickjs::rquickjs::context::EvalOptions;
use offheap_quickjs::rquickjs::{self, Ctx, Error as JsError, Function};
use offheap_quickjs::{BackingStoreExt, Engine, Error, Isolate, Scope, ScopeExt, Throw, Value, is_module, script_site};

use crate::common::in_own_context;

fn thrown(scope: &mut Scope<'_>, source: &str) -> (String, String) {
    match scope.eval::<Value<'_>>(source) {
        Err(Error::Script(error)) => (error.message().to_owned(), error.stack().to_owned()),
        Err(other) => (other.to_string(), String::new()),
        Ok(value) => panic!("{source} gives {value}"),
    }
}

#[test]
fn what_is_thrown_has_its_message_and_its_stack() {
    Isolate::new().unwrap().enter(|scope| {
        let (message, stack) = thrown(scope, "function f() { null.x }\nfunction g() { f() }\ng()");
        assert_eq!(message, "TypeError: cannot read property 'x' of null");
        let frames: Vec<_> = stack.lines().map(str::trim).collect();
        assert!(frames[0].starts_with("at f (eval_script:1:"), "{stack}");
        assert!(frames[1].starts_with("at g (eval_script:2:"), "{stack}");
        let (message, stack) = thrown(scope, "let let = 1");
        assert!(message.starts_with("SyntaxError"), "{message}");
        assert!(stack.contains("eval_script:1:"), "{stack}");
        let (message, stack) = thrown(scope, "throw new (class Mine extends RangeError { name = 'Mine' })('too far')");
        assert!(message == "Mine: too far" && stack.contains("eval_script"), "{message} {stack}");
        // A name with half of a surrogate pair is not valid text in Rust.
        let half = "({ ['a\\ud800']() { throw new Error('b\\udc00') } })['a\\ud800']()";
        let (message, stack) = thrown(scope, half);
        assert!(message.starts_with("Error: b\u{fffd}") && stack.contains("eval_script:1:"), "{message} {stack}");
    });
}

#[test]
fn a_value_of_another_type_is_named_with_the_type_that_was_asked_for() {
    Isolate::new().unwrap().enter(|scope| {
        assert_eq!(
            scope.eval::<u32>("'x'").unwrap_err().to_string(),
            "QuickJS: the script's value is the string \"x\", but a whole number that fits in `u32` was expected; ask \
             for its own type, or convert it in script"
        );
        let error = scope.eval::<String>("({})").unwrap_err().to_string();
        assert!(error.contains("an object, but a string was"), "{error}");
        let error = scope.eval::<u8>("'\u{e9}'.repeat(50)").unwrap_err().to_string();
        assert!(
            error.contains(&format!("the string \"{}\"…, but a whole number that fits in `u8`", "\u{e9}".repeat(40))),
            "{error}"
        );
    });
}

#[test]
fn an_error_of_script_says_where_it_was_thrown() {
    Isolate::new().unwrap().enter(|scope| {
        let mut says = |source: &str, text: &str| assert_eq!(scope.eval::<()>(source).unwrap_err().to_string(), text);
        says("\n  null.x", "QuickJS: TypeError: cannot read property 'x' of null at eval_script:2:3");
        says("function f() {\n  throw new RangeError('far')\n}\nf()", "QuickJS: RangeError: far at eval_script:2:13");
        says("[1].map(BigInt.asIntN)", "QuickJS: TypeError: cannot convert to bigint at eval_script:1:9");
        says("throw 1", "QuickJS: 1");
    });
}

#[test]
fn whatever_is_thrown_is_an_error_here() {
    Isolate::new().unwrap().enter(|scope| {
        for (source, expected) in [
            ("throw 5", "5"),
            ("throw 'text'", "text"),
            ("throw undefined", "undefined"),
            ("throw 'one\\ud800two'", "one\u{fffd}two"),
            ("throw 'one\\0two'", "one\0two"),
            ("throw { toString() { return 'mine' } }", "mine"),
            ("throw { toString() { throw 1 } }", "object"),
            ("throw Symbol('s')", "symbol"),
            ("throw Object.create(null)", "object"),
            ("throw { get stack() { throw 1 }, toString() { return 'x' } }", "x"),
            ("throw { stack: 7, toString() { return 'y' } }", "y"),
            ("throw new Proxy({}, { get() { throw 1 } })", "proxy"),
        ] {
            let (message, stack) = thrown(scope, source);
            assert_eq!((message.as_str(), stack.as_str()), (expected, ""), "{source}");
            assert_eq!(scope.eval::<u32>("41 + 1").unwrap(), 42, "nothing stays pending after {source}");
        }
        // QuickJS throws null if it has no memory for an error object.
        assert!(matches!(scope.eval::<u32>("throw null"), Err(Error::EngineFailed { .. })));
        assert!(matches!(scope.eval::<u32>("'no number'"), Err(Error::Script { .. })));
    });
}

#[test]
fn deep_recursion_and_an_interrupt_are_errors() {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let mut isolate = Isolate::builder()
        .stack_size(128 << 10)
        .interrupt_handler(move || asked.load(Ordering::Relaxed))
        .build()
        .unwrap();
    isolate.enter(|scope| {
        let (message, _) = thrown(scope, "(function f() { f() })()");
        assert!(message.contains("call stack"), "{message}");
        stop.store(true, Ordering::Relaxed);
        let (message, _) = thrown(scope, "for (;;);");
        assert!(message.contains("interrupted"), "{message}");
        // While every call is interrupted, externalizing fails, and the buffer stays unchanged.
        stop.store(false, Ordering::Relaxed);
        let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(64); new Uint8Array(b).fill(6); b").unwrap();
        stop.store(true, Ordering::Relaxed);
        let mut failed = 0;
        for _ in 0..20_000 {
            let fresh = scope.externalize(&buffer);
            failed += usize::from(fresh.is_err());
        }
        stop.store(false, Ordering::Relaxed);
        assert_eq!(scope.bytes(&buffer).unwrap()[..], [6; 64]);
        assert_eq!(scope.eval::<u32>("new Uint8Array(b)[63]").unwrap(), 6);
        let _ = failed;
    });
}

#[test]
fn an_interior_nul_in_the_source_is_an_error() {
    Isolate::new().unwrap().enter(|scope| {
        let error = scope.eval::<u32>("1 + \0 1").unwrap_err();
        assert!(matches!(error, Error::Script { .. }), "{error}");
        assert!(scope.eval_buffer("new ArrayBuffer(8)\0").is_err());
        assert!(!is_module("export default 1\0"));
        assert_eq!(scope.eval::<u32>("'\\0'.length").unwrap(), 1);
    });
}

#[test]
fn microtasks_run_only_when_asked_and_what_they_throw_is_told() {
    Isolate::new().unwrap().enter(|scope| {
        scope.eval::<u32>("globalThis.n = 0; Promise.resolve().then(() => { n++; return 1 }).then(() => n++); 0").unwrap();
        assert_eq!(scope.eval::<u32>("n").unwrap(), 0);
        scope.collect();
        assert_eq!(scope.eval::<u32>("n").unwrap(), 0);
        scope.run_microtasks().unwrap();
        assert_eq!(scope.eval::<u32>("n").unwrap(), 2);
        let queue = "queueMicrotask(() => n++); queueMicrotask(() => { throw new Error('from a task') }); queueMicrotask(() => n++); 0";
        scope.eval::<u32>(queue).unwrap();
        let error = scope.run_microtasks().unwrap_err();
        assert!(error.to_string().contains("from a task"), "{error}");
        assert_eq!(scope.eval::<u32>("n").unwrap(), 3);
        scope.run_microtasks().unwrap();
        assert_eq!(scope.eval::<u32>("n").unwrap(), 4);
    });
}

#[test]
fn detach_keys_are_asked_for_by_rust_and_by_script() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(8)").unwrap();
        let handle = &buffer;
        scope.set_detach_key(handle, Some("secret")).unwrap();
        for (key, given) in [(None, "no key was given"), (Some("other"), "another was given"), (Some(""), "another was given")] {
            let error = scope.detach(handle, key).unwrap_err();
            assert!(matches!(error, Error::WrongDetachKey { given: found, .. } if found == given), "{error}");
        }
        assert!(matches!(scope.transfer(handle, None), Err(Error::WrongDetachKey { .. })));
        for transfer in [
            "b.transfer()",
            "b.transfer(0)",
            "b.transferToFixedLength()",
            "b.transferToImmutable()",
            "ArrayBuffer.prototype.transfer.call(b)",
            "Reflect.apply(ArrayBuffer.prototype.transfer, b, [4])",
            "WeakMap.prototype.has = () => false; Reflect.apply = () => 1; b.transfer()",
        ] {
            let (message, _) = thrown(scope, transfer);
            assert!(message.starts_with("TypeError") && message.contains("detach key"), "{transfer}: {message}");
        }
        assert!(!scope.state(handle).unwrap().detached);
        // A stack frame must not reveal an original function either.
        let leaked: String = scope
            .eval(
                "let seen = []; Error.prepareStackTrace = (e, frames) => { seen.push(...frames.map((f) => f.getFunction())); return '' };
                 const other = new ArrayBuffer(8);
                 try { other.transfer({ valueOf() { new Error().stack; return 4 } }) } catch {}
                 try { other.transfer() } catch (e) { e.stack }
                 Error.prepareStackTrace = undefined;
                 String(seen.filter((f) => typeof f === 'function').length) + seen.length",
            )
            .unwrap();
        assert!(leaked.starts_with('0') && leaked.len() > 1 && leaked != "00", "{leaked}");
        scope.set_detach_key(handle, None).unwrap();
        scope.set_detach_key(handle, Some("again")).unwrap();
        scope.detach(handle, Some("again")).unwrap();
        assert!(scope.state(handle).unwrap().detached);
        scope.detach(handle, Some("again")).unwrap();
        let plain = scope.eval_buffer("new ArrayBuffer(8)").unwrap();
        let refused = scope.detach(&plain, Some("not needed")).unwrap_err();
        assert!(matches!(refused, Error::WrongDetachKey { given: "it has none", .. }), "{refused}");
    });
}

#[test]
fn the_replaced_functions_look_as_they_did() {
    Isolate::new().unwrap().enter(|scope| {
        let text: String = scope
            .eval(
                "const names = ['add', 'and', 'compareExchange', 'exchange', 'or', 'store', 'sub', 'xor'];
                 const all = names.map((n) => [Atomics, n])
                   .concat(['transfer', 'transferToFixedLength', 'transferToImmutable'].map((n) => [ArrayBuffer.prototype, n]));
                 all.map(([o, n]) => {
                   const d = Object.getOwnPropertyDescriptor(o, n);
                   let constructs = true; try { new o[n]() } catch { constructs = false }
                   return [n === d.value.name, d.value.length, d.writable, d.enumerable, d.configurable, 'prototype' in d.value].join('');
                 }).join()",
            )
            .unwrap();
        let arity = |n: u32| format!("true{n}truefalsetruefalse");
        let expected: Vec<_> = [3, 3, 4, 3, 3, 3, 3, 3, 0, 0, 0].into_iter().map(arity).collect();
        assert_eq!(text, expected.join(","));
        let works: String = scope
            .eval(
                "const a = new Int32Array([1, 2]); const big = new BigInt64Array(1);
                 [Atomics.add(a, 0, 4), Atomics.exchange(a, 1, 9), Atomics.compareExchange(a, 0, 5, 6), Atomics.store(a, 1, -0),
                  Atomics.or(a, 0, 1), Atomics.xor(a, 0, 2), Atomics.and(a, 0, 4), Atomics.sub(a, 0, 1), a.join(),
                  Atomics.store(big, 0, 1n << 65n), big[0]].join('|')",
            )
            .unwrap();
        assert_eq!(works, "1|2|5|0|6|7|5|4|3,0|36893488147419103232|0");
    });
}

/// Defines `site()` for script, which returns the place of its call as Rust finds it.
fn define_site(ctx: &Ctx<'_>) {
    let site =
        Function::new(ctx.clone(), |ctx: Ctx<'_>| script_site(&ctx).map_or("none".to_owned(), |site| site.to_string()));
    ctx.globals().set("site", site).unwrap();
}

#[test]
fn the_site_is_that_of_the_innermost_script_whatever_script_did_to_error() {
    for tampered in [
        "",
        "Error.stackTraceLimit = 0;",
        "Error.stackTraceLimit = -1; Error.prepareStackTrace = () => 'fake:9:9';",
        "Error.prepareStackTrace = () => { throw 1 };",
        "Object.defineProperty(Error.prototype, 'stack', { get() { return 'at x (fake:9:9)' } });",
        "globalThis.Error = function () { return { stack: 'at x (fake:9:9)' } };",
        "delete globalThis.Error;",
        "Error.captureStackTrace = null; Error = null;",
        "Object.prototype.stack = 'at x (fake:9:9)';",
    ] {
        Isolate::new().unwrap().enter(|scope| {
            scope.with_ctx(|ctx| {
                assert!(script_site(&ctx).is_none());
                define_site(&ctx);
            });
            let source = format!("{tampered}\nfunction inner() {{ return site() }}\n\n  inner()");
            assert_eq!(scope.eval::<String>(&source).unwrap(), "eval_script:2:27", "{tampered}");
            // Native functions in between have no place.
            let mapped = "[1].map(function f() {\n return [2].map(site)[0] })[0]";
            assert_eq!(scope.eval::<String>(mapped).unwrap(), "eval_script:2:17", "{tampered}");
            assert_eq!(scope.eval::<String>("`${{ toString: site }}`").unwrap().split(':').next(), Some("eval_script"));
            scope.with_ctx(|ctx| assert!(script_site(&ctx).is_none()));
        });
    }
}

#[test]
fn c21_a_site_is_taken_from_call_sites_and_not_from_text() {
    Isolate::new().unwrap().enter(|scope| {
        scope.with_ctx(|ctx| {
            define_site(&ctx);
            for name in ["b c (1).js", "a at b (c.js:9:9)", "a:1:2.js"] {
                let mut options = EvalOptions::default();
                options.filename = Some(name.to_owned());
                let source = "\nconst f = () => site();\n\
                     Object.defineProperty(f, 'name', { value: 'f\\n    at g (forged.js:9:9)' });\n  f()";
                let site: String = ctx.eval_with_options(format!("{{ {source} }}"), options).unwrap();
                assert_eq!(site, format!("{name}:2:17"));
            }
        });
        // The place is that of script, not that of the isolate's own function in between.
        let source = "let where;\n  Atomics.load(new Uint8Array(1), { valueOf: site, toString() {} }); 1";
        scope.with_ctx(|ctx| {
            let noted = Rc::new(RefCell::new(String::new()));
            let note = Rc::clone(&noted);
            let function = Function::new(ctx.clone(), move |ctx: Ctx<'_>| {
                *note.borrow_mut() = script_site(&ctx).map_or("none".to_owned(), |site| site.to_string());
                0
            });
            ctx.globals().set("site", function).unwrap();
            ctx.eval::<(), _>(format!("{source}; undefined")).unwrap();
            assert_eq!(*noted.borrow(), "eval_script:2:46");
        });
    });
}

#[test]
fn an_error_of_ours_is_a_type_error_or_a_range_error_in_script() {
    in_own_context(|ctx| {
        let queue = Rc::new(RefCell::new(Vec::new()));
        let next = Rc::clone(&queue);
        let fail = Function::new(ctx.clone(), move |ctx: Ctx<'_>| -> Result<(), JsError> {
            let error: Error = next.borrow_mut().pop().expect("queued");
            Err(error.throw(&ctx))
        });
        ctx.globals().set("fail", fail).unwrap();
        // SAFETY: no code reads the bytes, because the length is refused first.
        let huge = unsafe { UniqueStore::from_raw_parts(8 as *mut u8, 1 << 31, |_, _| ()) }.unwrap();
        let huge = offheap::BackingStore::from(huge);
        let number: rquickjs::Value<'_> = ctx.eval("5").unwrap();
        let ours = [
            ("RangeError", huge.expose(ctx).unwrap_err()),
            ("RangeError", Error::Memory(huge.slice(1 << 31..9 + (1 << 31)).unwrap_err())),
            ("TypeError", offheap::BackingStore::externalize(number.ctx(), &number).unwrap_err()),
            ("TypeError", Error::IsolateGone),
        ];
        for (class, error) in ours {
            let text = error.to_string();
            queue.borrow_mut().push(error);
            let caught: Vec<String> = ctx
                .eval(
                    "(() => { try { fail() } catch (e) { return [e.name, e.message, String(e instanceof Error)] } })()",
                )
                .unwrap();
            assert_eq!(caught, [class, &text, "true"]);
        }
    });
}

#[test]
fn modules_are_told_from_scripts() {
    for source in [
        "export default 1",
        "import 'x'",
        "import { a } from 'b'; a()",
        "export {}",
        "const x = 1;\nexport { x }",
        "await 1",
    ] {
        assert!(is_module(source), "{source}");
    }
    let scripts = [
        "",
        "1 + 1",
        "var x = 1; x",
        "import('x')",
        "let exported = 'export'",
        "// export\n1",
        "with (a) b",
        "'import x'",
        "function f() { return this } f()",
        "/import x/.test('')",
        "let",
    ];
    for source in scripts {
        assert!(!is_module(source), "{source}");
    }
}

#[test]
fn as_an_engine_it_names_itself_and_runs_microtasks() {
    let mut engine = Isolate::new().unwrap();
    assert_eq!((engine.name(), engine.version().as_str()), ("QuickJS", "0.16.2"));
    let value = engine.evaluate("globalThis.x = 0; Promise.resolve().then(() => { x = 5 }); x").unwrap();
    assert_eq!(format!("{value:?}"), "Number(0.0)");
    assert_eq!(format!("{:?}", engine.evaluate("x").unwrap()), "Number(5.0)");
}
