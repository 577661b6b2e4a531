//! Values, and native functions with a scope, on any engine with script.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use offheap_engine::offheap::{BackingStore, UniqueStore};
use offheap_engine::{
    Arguments, Error, FromJs, Handle, Host, Isolate, JsArrayBuffer, JsArrayBufferView, JsFunction, JsObject, Local,
    Scope, Source, Value,
};

/// Checks the values and the functions of an engine with script. `make` makes isolates.
///
/// # Panics
/// If the engine does something else than it should.
pub fn check_functions<H: Host>(make: &dyn Fn() -> Isolate<H>) {
    for check in [
        values_come_and_go::<H>,
        nothing_is_coerced::<H>,
        globals_and_calls::<H>,
        arguments_are_converted_one_by_one::<H>,
        everything_works_in_a_function::<H>,
        errors_become_exceptions::<H>,
        exceptions_go_through_unchanged::<H>,
        functions_call_each_other::<H>,
        a_panic_goes_on_in_rust::<H>,
        captured_values_are_dropped::<H>,
        captured_handles_do_not_disturb_the_end::<H>,
    ] {
        check(&mut make());
    }
    isolates_nest(make);
    functions_end_with_their_isolate(make);
}

/// Counts the drops of the value that is captured.
#[derive(Clone, Default)]
struct Drops(Rc<Cell<u32>>);

struct Counted(Drops);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() + 1);
    }
}

fn text_of<H: Host>(scope: &mut Scope<'_, H>, source: &str) -> String {
    scope.eval(source).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn values_come_and_go<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        for (source, expected) in [
            ("undefined", "undefined"),
            ("null", "null"),
            ("1 < 2", "true"),
            ("-0.5", "the number -0.5"),
            ("'a' + 'b'", "the string \"ab\""),
            ("'a\\ud800b'", "the string \"a\u{fffd}b\""),
            ("-(2n ** 63n)", "the BigInt -9223372036854775808"),
            ("2n ** 64n - 1n", "the BigInt 18446744073709551615"),
            ("2n ** 64n", "a value of the type bigint"),
            ("-(2n ** 63n) - 1n", "a value of the type bigint"),
            ("Symbol('s')", "a value of the type symbol"),
            ("new ArrayBuffer(1)", "an ArrayBuffer"),
            ("new SharedArrayBuffer(1)", "an ArrayBuffer"),
            ("new Float32Array(1)", "a typed array or a DataView"),
            ("new DataView(new ArrayBuffer(1))", "a typed array or a DataView"),
            ("() => 1", "a function"),
            ("(class {})", "a function"),
            ("new Proxy(() => 1, {})", "a function"),
            ("[1]", "an object"),
            ("new Proxy(new ArrayBuffer(1), {})", "an object"),
            ("Object.setPrototypeOf(new ArrayBuffer(1), null)", "an ArrayBuffer"),
            ("Object.setPrototypeOf({}, ArrayBuffer.prototype)", "an object"),
        ] {
            let value: Value<'_> = scope.eval(source).unwrap();
            assert_eq!(value.to_string(), expected, "{source}");
            // Back to script, where it must be the same value.
            let cannot = matches!(value, Value::Other(_));
            let returned = scope.set_global("returned", value);
            assert_eq!(returned.is_err(), cannot, "{source}");
            if let Err(error) = returned {
                assert!(error.to_string().contains("keep it in a variable of script"), "{error}");
                continue;
            }
            let again: Value<'_> = scope.global("returned").unwrap();
            assert_eq!(again.to_string(), expected, "{source}");
        }
        scope.eval::<()>("globalThis.kept = {}").unwrap();
        let kept: Local<'_, JsObject> = scope.global("kept").unwrap();
        scope.set_global("again", &kept).unwrap();
        assert!(scope.eval::<bool>("kept === again").unwrap());
        let handle = scope.eval::<Local<'_, JsArrayBuffer>>("new ArrayBuffer(7)").unwrap().into_handle();
        scope.set_global("again", &handle).unwrap();
        assert_eq!(scope.eval::<usize>("again.byteLength").unwrap(), 7);
    });
}

fn refused<'s, T: FromJs<'s>, H: Host>(scope: &mut Scope<'s, H>, source: &str) -> String {
    scope.eval::<T>(source).err().unwrap_or_else(|| panic!("{source} was converted")).to_string()
}

fn nothing_is_coerced<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        let advice = "; ask for its own type, or convert it in script";
        let expected = |found: &str, wanted: &str| {
            format!("{}: the script's value is {found}, but {wanted} was expected{advice}", H::NAME)
        };
        let whole = "a whole number that fits in `u32`";
        assert_eq!(refused::<u32, H>(scope, "1.5"), expected("the number 1.5", whole));
        assert_eq!(refused::<u32, H>(scope, "'1'"), expected("the string \"1\"", whole));
        assert_eq!(refused::<u32, H>(scope, "-1n"), expected("the BigInt -1", whole));
        assert_eq!(refused::<String, H>(scope, "1"), expected("the number 1", "a string"));
        assert_eq!(refused::<f64, H>(scope, "1n"), expected("the BigInt 1", "a number"));
        assert_eq!(refused::<bool, H>(scope, "({})"), expected("an object", "a boolean"));
        let buffer = expected("a typed array or a DataView", "an ArrayBuffer");
        assert_eq!(refused::<Local<'_, JsArrayBuffer>, H>(scope, "new Uint8Array(1)"), buffer);
        assert_eq!(scope.eval::<u32>("7").unwrap(), 7);
        assert_eq!(scope.eval::<u64>("2n ** 64n - 1n").unwrap(), u64::MAX);
        assert_eq!(scope.eval::<Option<String>>("null").unwrap(), None);
        assert!(scope.eval::<Local<'_, JsObject>>("new Uint8Array(1)").is_ok());
    });
}

fn globals_and_calls<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        scope.set_global("answer", 42).unwrap();
        scope.set_global("name", "text").unwrap();
        scope.set_global("nothing", None::<u32>).unwrap();
        assert_eq!(text_of(scope, "[answer, name, nothing].map(String).join()"), "42,text,undefined");
        assert_eq!(scope.global::<u32>("answer").unwrap(), 42);
        assert_eq!(scope.global::<Option<u32>>("missing").unwrap(), None);
        let error = scope.global::<String>("answer").unwrap_err().to_string();
        assert!(error.contains("the global `answer` is the number 42, but a string was expected"), "{error}");
        scope.eval::<()>("Object.defineProperty(globalThis, 'bad', { get() { throw new Error('get') }, set() { throw new Error('set') } }); undefined").unwrap();
        assert!(scope.global::<()>("bad").unwrap_err().to_string().contains("Error: get"));
        assert!(scope.set_global("bad", 1).unwrap_err().to_string().contains("Error: set"));

        let add: Local<'_, JsFunction> =
            scope.eval("(() => { 'use strict'; return function (...all) { return typeof this + all.length + ':' + all.join() } })()").unwrap();
        assert_eq!(scope.call::<String>(&add, ()).unwrap(), "undefined0:");
        assert_eq!(scope.call::<String>(&add, (1, "two", true)).unwrap(), "undefined3:1,two,true");
        assert_eq!(scope.call::<String>(&add, vec![Value::Null; 9]).unwrap(), "undefined9:,,,,,,,,");
        let store = BackingStore::from_owner(vec![1_u8, 2, 3]).unwrap();
        let buffer = scope.expose(&store).unwrap();
        let read: Local<'_, JsFunction> = scope.eval("(b, i) => new Uint8Array(b)[i]").unwrap();
        assert_eq!(scope.call::<u8>(&read, (&buffer, 2)).unwrap(), 3);
        let thrower: Local<'_, JsFunction> = scope.eval(Source::named("place.js", "(\n() => { throw new RangeError('far') })")).unwrap();
        let error = scope.call::<()>(&thrower, ()).unwrap_err().to_string();
        assert!(error.contains("RangeError: far") && error.contains("place.js:2"), "{error}");
    });
}

/// Makes a function a global of its name.
fn define<H: Host>(
    scope: &mut Scope<'_, H>,
    name: &str,
    call: impl for<'c> Fn(&mut Scope<'c, H>, Arguments<'c, H>) -> Result<Value<'c>, Error> + 'static,
) {
    let function = scope.function(name, call).unwrap();
    scope.set_global(name, &function).unwrap();
}

fn arguments_are_converted_one_by_one<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        define(scope, "describe", |scope, arguments| {
            let mut text = format!("{}", arguments.len());
            for index in 0..arguments.len() + 1 {
                text += &format!(" {}", arguments.get::<Value<'_>>(scope, index)?);
            }
            Ok(text.into())
        });
        assert_eq!(text_of(scope, "describe()"), "0 undefined");
        assert_eq!(text_of(scope, "describe(1, null, [])"), "3 the number 1 null an object undefined");
        assert_eq!(text_of(scope, "describe.name + describe.length"), "describe0");
        define(scope, "typed", |scope, arguments| {
            let count: u8 = arguments.get(scope, 0)?;
            let more: Option<String> = arguments.get(scope, 1)?;
            Ok(format!("{count} {more:?}").into())
        });
        assert_eq!(text_of(scope, "typed(3)"), "3 None");
        assert_eq!(text_of(scope, "typed(3, 'x')"), "3 Some(\"x\")");
        let caught = text_of(scope, "try { typed(1, 2) } catch (e) { [e.name, e.code, e.message].join('|') }");
        let name = H::NAME;
        assert_eq!(
            caught,
            format!(
                "TypeError|ARGUMENT|{name}: argument 2 of `typed` is the number 2, but a string, null or undefined was expected"
            )
        );
        // A conversion runs no script.
        let converted = "let ran = 0; try { typed({ valueOf() { ran++; return 1 } }) } catch {} String(ran)";
        assert_eq!(text_of(scope, converted), "0");
        assert_eq!(text_of(scope, "try { new typed(1) } catch (e) { e.name }"), "TypeError");
    });
}

fn everything_works_in_a_function<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        let outer = scope.eval_buffer("globalThis.outer = new Uint8Array([1, 2, 3]).buffer").unwrap().into_handle();
        define(scope, "work", move |scope, arguments| {
            let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
            // A buffer that script made, and has not been externalized.
            assert_eq!(scope.bytes(&buffer)?[..3], [5, 6, 7]);
            scope.bytes_mut(&buffer)?[0] = 9;
            let store = scope.externalize(&outer)?;
            scope.copy_in(&store, 1, &[8_u8])?;
            let made = scope.expose(&BackingStore::from(UniqueStore::zeroed(16)?))?;
            scope.detach(&made, None)?;
            let resizable: Local<'_, JsArrayBuffer> = scope.eval("new ArrayBuffer(4, { maxByteLength: 64 })")?;
            scope.resize(&resizable, 32)?;
            assert_eq!(scope.state(&resizable)?.byte_length, 32);
            let moved = scope.transfer(&resizable, Some(8))?;
            assert_eq!(scope.externalize(&moved)?.byte_length(), 8);
            scope.eval::<()>("Promise.resolve().then(() => { globalThis.ran = 1 }); undefined")?;
            scope.run_microtasks()?;
            assert_eq!(scope.global::<u32>("ran")?, 1);
            scope.collect();
            let view: Local<'_, JsArrayBufferView> = scope.eval("new Uint8Array(2)")?;
            scope.set_global("view", &view)?;
            // Script moves the memory of an argument; what was borrowed before has ended.
            let taken = scope.transfer(&buffer, None)?;
            assert!(scope.state(&buffer)?.detached);
            assert_eq!(scope.bytes(&taken)?[..3], [9, 6, 7]);
            Ok(taken.into())
        });
        let text = "const b = new Uint8Array([5, 6, 7, 8]).buffer; const t = work(b);
                    [b.detached, new Uint8Array(t).join(), new Uint8Array(outer).join()].join('|')";
        assert_eq!(text_of(scope, text), "true|9,6,7,8|1,8,3");
        // A handle that is used in a function without a scope.
        let kept: Rc<RefCell<Option<Handle<JsArrayBuffer>>>> = Rc::default();
        let keep = Rc::clone(&kept);
        define(scope, "keep", move |scope, arguments| {
            *keep.borrow_mut() = Some(arguments.get::<Local<'_, _>>(scope, 0)?.into_handle());
            Ok(().into())
        });
        scope.eval::<()>("keep(new Uint8Array([4]).buffer)").unwrap();
        let buffer = kept.take().unwrap();
        assert_eq!(scope.bytes(&buffer).unwrap()[..], [4]);
    });
}

fn errors_become_exceptions<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        define(scope, "fail", |scope, arguments| {
            let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
            scope.resize(&buffer, 1 << 20)?;
            Err(Error::function("the program's own words"))
        });
        let caught =
            |call: &str| format!("try {{ {call} }} catch (e) {{ [e.name, e.code, e instanceof Error].join() }}");
        assert_eq!(text_of(scope, &caught("fail(new ArrayBuffer(1))")), "TypeError,NOT_RESIZABLE,true");
        let too_long = caught("fail(new ArrayBuffer(1, { maxByteLength: 2 }))");
        assert_eq!(text_of(scope, &too_long), "RangeError,INVALID_LENGTH,true");
        let own = "try { fail(new ArrayBuffer(1, { maxByteLength: 1 << 20 })) } catch (e) { e.message + e.code }";
        assert_eq!(text_of(scope, own), "the program's own wordsFUNCTION");
        let uncaught = scope.eval::<()>("fail(1)").unwrap_err().to_string();
        assert!(uncaught.contains("TypeError") && uncaught.contains("argument 1 of `fail`"), "{uncaught}");
    });
}

fn exceptions_go_through_unchanged<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        define(scope, "through", |scope, arguments| {
            let function: Local<'_, JsFunction> = arguments.get(scope, 0)?;
            scope.call::<()>(&function, ())?;
            Ok(().into())
        });
        let own = "const own = { toString() { return 'own' } };
                   try { through(() => { throw own }) } catch (e) { String(e === own) }";
        assert_eq!(text_of(scope, own), "true");
        let twice = "try { through(() => through(() => { throw own })) } catch (e) { String(e === own) }";
        assert_eq!(text_of(scope, twice), "true");
        // An error that is not that of the last exception is thrown as an error of its own.
        define(scope, "late", |scope, _| {
            let first = scope.eval::<()>("throw new Error('first')");
            let _ = scope.eval::<()>("throw new Error('second')");
            first?;
            Ok(().into())
        });
        assert_eq!(text_of(scope, "try { late() } catch (e) { String(e.message.includes('first')) }"), "true");
        // An exception of an earlier call is not thrown again by a later one.
        define(scope, "forgets", |scope, _| {
            let _ = scope.eval::<()>("throw new Error('seen')");
            Ok(().into())
        });
        scope.eval::<()>("forgets(); through(() => forgets()); undefined").unwrap();
    });
}

fn functions_call_each_other<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        let depth = Rc::new(Cell::new(0_u32));
        let deepest = Rc::clone(&depth);
        define(scope, "fib", move |scope, arguments| {
            deepest.set(deepest.get() + 1);
            let number: u32 = arguments.get(scope, 0)?;
            if number < 2 {
                return Ok(number.into());
            }
            let fib: Local<'_, JsFunction> = scope.global("fib")?;
            let (one, two) =
                (scope.call::<u32>(&fib, (number - 1,))?, scope.eval::<u32>(&format!("fib({})", number - 2))?);
            Ok((one + two).into())
        });
        assert_eq!(scope.eval::<u32>("fib(9)").unwrap(), 34);
        assert_eq!(depth.get(), 109);
        // Without an end: the engine's own limit stops it.
        define(scope, "forever", |scope, _| scope.eval::<Value<'_>>("forever()"));
        let error = scope.eval::<()>("forever()").unwrap_err();
        assert!(matches!(error, Error::Script { .. } | Error::EngineFailed { .. }), "{error}");
        assert_eq!(scope.eval::<u32>("fib(5)").unwrap(), 5);
    });
}

fn a_panic_goes_on_in_rust<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        define(scope, "panics", |_, _| panic!("in a function"));
        define(scope, "nested", |scope, _| scope.eval::<Value<'_>>("panics()"));
        for source in ["panics()", "nested()", "try { panics() } catch (e) { globalThis.seen = e.message } 1"] {
            let panic = catch_unwind(AssertUnwindSafe(|| scope.eval::<()>(source))).unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"in a function"), "{source}");
        }
        assert!(text_of(scope, "seen").contains("`panics` panicked"));
    });
}

fn captured_values_are_dropped<H: Host>(isolate: &mut Isolate<H>) {
    let drops = Drops::default();
    isolate.enter(|scope| {
        for _ in 0..3 {
            let counted = Counted(drops.clone());
            define(scope, "holds", move |_, _| {
                let _ = &counted;
                Ok(().into())
            });
        }
        // A function that is replaced while it runs.
        let counted = Counted(drops.clone());
        define(scope, "holds", move |scope, _| {
            scope.eval::<()>("holds = undefined")?;
            scope.collect();
            scope.eval::<()>("undefined")?;
            assert_eq!(counted.0.0.get(), 3, "the running function is there");
            Ok(().into())
        });
        scope.eval::<()>("holds()").unwrap();
        for _ in 0..4 {
            scope.collect();
            scope.eval::<()>("undefined").unwrap();
        }
    });
    assert_eq!(drops.0.get(), 4);
}

fn captured_handles_do_not_disturb_the_end<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        let object: Handle<JsObject> = scope.eval::<Local<'_, _>>("globalThis.object = {}").unwrap().into_handle();
        let captured = object.clone();
        let function = scope.function("cycle", move |_, _| Ok((&captured).into())).unwrap();
        scope.set_global("cycle", &function).unwrap();
        scope.eval::<()>("object.cycle = cycle; undefined").unwrap();
        assert!(scope.eval::<bool>("cycle() === object").unwrap());
        drop((object, function));
        scope.eval::<()>("delete globalThis.object; delete globalThis.cycle; undefined").unwrap();
        scope.collect();
    });
}

fn isolates_nest<H: Host>(make: &dyn Fn() -> Isolate<H>) {
    let (mut outer, inner) = (make(), Rc::new(RefCell::new(make())));
    let other =
        inner.borrow_mut().enter(|scope| scope.eval_buffer("globalThis.b = new ArrayBuffer(3)").unwrap().into_handle());
    outer.enter(|scope| {
        let inner = Rc::clone(&inner);
        define(scope, "across", move |scope, arguments| {
            let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
            let mut isolate = inner.borrow_mut();
            let length = isolate.enter(|within| {
                assert!(matches!(within.bytes(&buffer), Err(Error::WrongIsolate { .. })));
                assert!(matches!(within.set_global("x", &Handle::clone(&buffer)), Err(Error::WrongIsolate { .. })));
                // Arguments are still there while another isolate is entered.
                assert_eq!(arguments.get::<u32>(scope, 1)?, 5);
                let bytes = scope.bytes(&buffer)?;
                let length: usize = within.eval("b.byteLength")?;
                Ok::<_, Error>(length + bytes.len())
            })?;
            assert!(matches!(scope.bytes(&other), Err(Error::WrongIsolate { .. })));
            let function = scope.function("f", |_, _| Ok(().into()))?;
            assert!(matches!(scope.call::<()>(&function, (&other,)), Err(Error::WrongIsolate { .. })));
            Ok((length as u32).into())
        });
        assert_eq!(scope.eval::<u32>("across(new ArrayBuffer(4), 5)").unwrap(), 7);
        // A handle of another isolate cannot be returned.
        let foreign = Rc::new(RefCell::new(make()));
        let handle = foreign.borrow_mut().enter(|scope| scope.eval_buffer("new ArrayBuffer(1)").unwrap().into_handle());
        define(scope, "foreign", move |_, _| Ok((&handle).into()));
        let caught = "try { foreign() } catch (e) { e.code }";
        assert_eq!(text_of(scope, caught), "WRONG_ISOLATE");
        drop(foreign);
        assert_eq!(text_of(scope, caught), "ISOLATE_GONE");
    });
}

fn functions_end_with_their_isolate<H: Host>(make: &dyn Fn() -> Isolate<H>) {
    let drops = Drops::default();
    let mut isolate = make();
    let kept = isolate.enter(|scope| {
        let counted = Counted(drops.clone());
        let buffer = scope.eval_buffer("new ArrayBuffer(1)").unwrap().into_handle();
        let function = scope.function("kept", move |scope, _| {
            let _ = &counted;
            Ok(scope.externalize(&buffer)?.byte_length().to_string().into())
        });
        function.unwrap().into_handle()
    });
    assert_eq!(isolate.enter(|scope| scope.call::<String>(&kept, ()).unwrap()), "1");
    assert_eq!(drops.0.get(), 0);
    drop(isolate);
    assert_eq!(drops.0.get(), 1);
    let gone = make().enter(|scope| scope.call::<()>(&kept, ()).unwrap_err());
    assert!(matches!(gone, Error::IsolateGone), "{gone}");
    drop(kept);
}
