//! Stores that native functions make, expose, externalize and free while script waits.

use std::sync::Mutex;

use offheap_engine::offheap::{BackingStore, ManualHeap, ManualMemory, Site, StoreId};
use offheap_engine::{Arguments, Error, Handle, Host, Isolate, JsArrayBuffer, Local, Scope, Source, Value};
use offheap_ledger::{Ledger, LiveStore, Refusal, Stack};

static KEPT: Mutex<Vec<BackingStore>> = Mutex::new(Vec::new());

const SCRIPT: &str = "
function frame() {
    return load(100);
}
globalThis.shown = frame();
(function outer() {
    keep(new ArrayBuffer(2000));
})();
undefined";

/// Checks that a ledger at the level `Full`, to which nothing was told before, names the lines of script. `top_level` is the name
/// that the engine gives to the code outside of functions.
///
/// Afterwards two stores live that script has seen: of 100 bytes, which the global `shown` has, and of 2000 bytes, which the
/// function `outer` in the seventh line of `app.js` made.
///
/// # Panics
/// If it does not.
pub fn check_lines_of_script<H: Host>(isolate: &mut Isolate<H>, ledger: &Ledger, top_level: &str) {
    isolate.enter(|scope| {
        define(scope);
        scope.eval::<()>(Source::named("app.js", SCRIPT)).unwrap();
    });
    exposures_and_externalizations(isolate, ledger, top_level);
    a_transfer_is_told(isolate, ledger);
    each_refusal_names_both_lines(isolate, ledger);
    native_functions_name_the_line_that_waits(isolate, ledger, top_level);
    the_stack_may_be_used_up(isolate);
    native_code_that_no_script_waits_for(isolate, ledger);
}

fn set_function<H: Host>(
    scope: &mut Scope<'_, H>,
    name: &str,
    function: impl for<'c> Fn(&mut Scope<'c, H>, Arguments<'c, H>) -> Result<Value<'c>, Error> + 'static,
) {
    let function = scope.function(name, function).unwrap();
    scope.set_global(name, &function).unwrap();
}

fn define<H: Host>(scope: &mut Scope<'_, H>) {
    set_function(scope, "load", |scope, arguments| {
        let store = BackingStore::from_owner(vec![0_u8; arguments.get::<u32>(scope, 0)? as usize])?;
        Ok(Value::from(scope.expose(&store)?))
    });
    set_function(scope, "keep", |scope, arguments| {
        let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
        let store = scope.externalize(&buffer)?;
        KEPT.lock().unwrap().push(store);
        Ok(Value::from(true))
    });
}

/// The store of this length, which lives.
///
/// # Panics
/// If there is none.
pub fn find(ledger: &Ledger, byte_length: usize) -> LiveStore {
    ledger.live().into_iter().find(|store| store.byte_length == byte_length).expect("the store lives")
}

/// The functions of a stack with their places, without columns.
///
/// # Panics
/// If there is no stack.
pub fn named(stack: Option<Stack>) -> Vec<String> {
    let frames = stack.expect("there is a stack").frames().iter();
    let without_column = |site: &str| site.rsplit_once(':').map_or(site, |(site, _)| site).to_owned();
    let text = |text: &Option<_>| text.as_deref().unwrap_or("").to_owned();
    frames.map(|frame| format!("{} {}", text(&frame.function), without_column(&text(&frame.site)))).collect()
}

/// The frames of the script `file`, the innermost first.
fn in_script(stack: Option<Stack>, file: &str) -> Vec<String> {
    named(stack).into_iter().filter(|frame| frame.contains(file)).collect()
}

fn exposures_and_externalizations<H: Host>(isolate: &Isolate<H>, ledger: &Ledger, top_level: &str) {
    let exposed = find(ledger, 100);
    let script = ["frame app.js:3".to_owned(), format!("{top_level} app.js:5")];
    assert_eq!(named(exposed.exposed_by)[1..3], script);
    let said = exposed.to_string();
    assert!(said.contains(&format!("1 buffer in {}, exposed at app.js:3:", isolate.id())), "{said}");
    let exposure = exposed.history.iter().find(|past| past.event == "exposed").unwrap();
    assert!(exposure.site.unwrap().to_string().starts_with("app.js:3:"));

    let externalized = find(ledger, 2000);
    // Where the engine made the store when it made the buffer, it was externalized later.
    let frames = named(externalized.externalized_by.or(externalized.stack));
    let at = frames.iter().position(|frame| frame == "outer app.js:7").unwrap_or_else(|| panic!("{frames:#?}"));
    assert_eq!(frames[at + 1], format!("{top_level} app.js:8"));
    assert!(frames[at - 1].contains("by_script.rs"), "the native function that script called: {frames:#?}");
    assert!(frames[at + 2].contains("by_script.rs"), "what ran the script: {frames:#?}");
}

fn native_code_that_no_script_waits_for<H: Host>(isolate: &mut Isolate<H>, ledger: &Ledger) {
    isolate.enter(|scope| {
        let store = BackingStore::from_owner(vec![0_u8; 300]).unwrap();
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("kept", &buffer).unwrap();
    });
    let alone = find(ledger, 300);
    assert!(alone.exposed_by.is_none() && !alone.to_string().contains("exposed at"), "{alone}");
}

/// The latest event of the store of 100 bytes, and the place in script.
///
/// # Panics
/// If it does not live.
pub fn last(ledger: &Ledger) -> (&'static str, Option<Site>) {
    let store = find(ledger, 100);
    // With the feature `track-handles`, native handles come and go too.
    let is_of_handle = |event| ["referenced", "dropped"].contains(&event);
    let past = store.history.iter().rfind(|past| !is_of_handle(past.event)).unwrap();
    (past.event, past.site)
}

fn a_transfer_is_told<H: Host>(isolate: &mut Isolate<H>, ledger: &Ledger) {
    isolate.enter(|scope| {
        let shown: Local<'_, JsArrayBuffer> = scope.global("shown").unwrap();
        let moved = scope.transfer(&shown, None).unwrap();
        scope.set_global("shown", &moved).unwrap();
    });
    assert_eq!(last(ledger), ("transferred", None));
    isolate.enter(|scope| scope.collect());
    assert_eq!(find(ledger, 100).holders.buffers[0].count, 1, "the new buffer has the store");
}

/// Where a refusal was, and what came first: its code, and the places in a file of this name.
struct Expected {
    code: &'static str,
    line: u32,
    earlier: Option<u32>,
    store: Option<StoreId>,
}

fn check_refusals(told: &[Refusal], expected: &[Expected]) {
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        let place = |line: u32| format!("{}:{line}:", file!());
        assert_eq!((told.code, told.store), (expected.code, expected.store));
        assert!(told.at.to_string().contains(&place(expected.line)), "{told:?}");
        assert_eq!(told.earlier.is_some(), expected.earlier.is_some(), "{told:?}");
        if let (Some(earlier), Some(line)) = (told.earlier, expected.earlier) {
            assert!(earlier.to_string().contains(&place(line)), "{told:?}");
        }
    }
}

/// Errors of native functions: the line of the error, and the one that came first.
fn each_refusal_names_both_lines<H: Host>(isolate: &mut Isolate<H>, ledger: &Ledger) {
    let begin = line!() + 1;
    let store = isolate.enter(|scope| {
        let memory = ManualMemory::allocate(16).unwrap();
        let buffer = scope.expose(memory.store()).unwrap();
        memory.free().unwrap_err();
        scope.detach(&buffer, None).unwrap();
        scope.externalize(&buffer).unwrap_err();
        memory.free().unwrap();
        memory.free().unwrap_err();
        ManualHeap::free(std::ptr::without_provenance_mut(0x7000_0000_0010)).unwrap_err();
        memory.store().id()
    });
    let expected = |code, step: u32, earlier: Option<u32>, store| {
        let earlier = earlier.map(|step| begin + step);
        Expected { code, line: begin + step, earlier, store }
    };
    let told = ledger.report().refusals;
    check_refusals(
        &told,
        &[
            expected("FREE_IN_USE", 3, Some(1), Some(store)),
            expected("DETACHED", 5, Some(4), Some(store)),
            expected("DOUBLE_FREE", 7, Some(6), Some(store)),
            expected("UNKNOWN_ADDRESS", 8, None, None),
        ],
    );
    assert!(told.iter().all(|told| in_script(told.stack, ".js").is_empty()), "no script waits");
}

const CARELESS: &str = "
function careless(gone) {
    freeTwice();
    useAfterDetach(gone);
    make(700);
    nest();
}
careless(globalThis.gone = new ArrayBuffer(8));
undefined";

/// Native functions make stores that no engine is asked about, and are refused: the functions of script that wait are named.
fn native_functions_name_the_line_that_waits<H: Host>(isolate: &mut Isolate<H>, ledger: &Ledger, top_level: &str) {
    let before = ledger.report().refusals.len();
    let begin = line!() + 1;
    isolate.enter(|scope| {
        set_function(scope, "freeTwice", |_, _| {
            let memory = ManualMemory::allocate(16)?;
            memory.free()?;
            Ok(Value::from(memory.free().is_ok()))
        });
        set_function(scope, "useAfterDetach", |scope, arguments| {
            let gone: Handle<JsArrayBuffer> = arguments.get::<Local<'_, JsArrayBuffer>>(scope, 0)?.into_handle();
            scope.detach(&gone, None)?;
            scope.externalize(&gone).unwrap_err();
            Ok(Value::from(scope.bytes(&gone).is_ok()))
        });
        set_function(scope, "make", |scope, arguments| {
            let store = BackingStore::from_owner(vec![0_u8; arguments.get::<u32>(scope, 0)? as usize])?;
            KEPT.lock().unwrap().push(store);
            Ok(Value::Undefined)
        });
        set_function(scope, "nest", |scope, _| {
            scope.eval::<()>(Source::named("inner.js", "make(701); undefined"))?;
            // Script of its own ran, and the function that waits is told again.
            KEPT.lock().unwrap().push(BackingStore::from_owner(vec![0_u8; 702])?);
            Ok(Value::Undefined)
        });
        scope.eval::<()>(Source::named("careless.js", CARELESS)).unwrap();
    });
    let waiting = |line: u32| [format!("careless careless.js:{line}"), format!("{top_level} careless.js:8")];
    let told = &ledger.report().refusals[before..];
    let store = told[0].store;
    let expected = |code, step: u32, earlier: u32, store| Expected {
        code,
        line: begin + step,
        earlier: Some(begin + earlier),
        store,
    };
    check_refusals(
        told,
        &[
            expected("DOUBLE_FREE", 4, 3, store),
            expected("DETACHED", 9, 8, told[1].store),
            expected("DETACHED", 10, 8, told[1].store),
        ],
    );
    for (told, line) in told.iter().zip([3, 4, 4]) {
        assert_eq!(in_script(told.stack, "careless.js"), waiting(line), "{told:?}");
    }
    assert_eq!(in_script(find(ledger, 700).stack, "careless.js"), waiting(5));
    assert_eq!(in_script(find(ledger, 701).stack, "careless.js"), waiting(6));
    assert_eq!(in_script(find(ledger, 701).stack, ".js")[0], format!("{top_level} inner.js:1"));
    assert_eq!(in_script(find(ledger, 702).stack, ".js"), waiting(6));
}

/// The engine is asked at the end of its stack too.
fn the_stack_may_be_used_up<H: Host>(isolate: &mut Isolate<H>) {
    isolate.enter(|scope| {
        set_function(scope, "touch", |_, _| Ok(Value::Undefined));
        let deep = "function deep() { touch(); deep() } try { deep() } catch (error) { String(error) }";
        let thrown: String = scope.eval(deep).unwrap();
        assert!(thrown.contains("Maximum call stack size exceeded"), "{thrown}");
    });
}

/// Checks the refusals of uses of a detached buffer since there were `before`: one in each of these `lines` of script, in the file
/// `own.js`, by native code of the file `native`. For the tests of a program's own context or scope.
///
/// # Panics
/// If they are others.
pub fn refused_at(ledger: &Ledger, before: usize, native: &str, lines: &[u32]) {
    let told = &ledger.report().refusals[before..];
    assert_eq!(told.len(), lines.len(), "{told:#?}");
    for (told, line) in told.iter().zip(lines) {
        assert_eq!(told.code, "DETACHED", "{told:?}");
        assert!(told.at.to_string().starts_with(native), "{told:?}");
        let script = in_script(told.stack, "own.js");
        assert!(script[0].ends_with(&format!(" own.js:{line}")), "{script:?}, not line {line}");
    }
}
