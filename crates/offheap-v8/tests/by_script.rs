//! Stores that native functions make, expose and externalize while script waits: the ledger names the lines of script. It has
//! a separate file, because a process has one observer.

use std::cell::RefCell;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use offheap_conformance::ledger::{check_lines_of_script, find, refused_at};
use offheap_ledger::{Ledger, Level, LiveStore};
use offheap_v8::offheap::{BackingStore, UniqueStore};
use offheap_v8::{
    BackingStoreExt, Handle, Isolate, JsArrayBuffer, Local, ManuallyExternalizedBuffer, ScopeExt, Source,
    UniqueStoreExt, Value, copy_of, transfer, v8,
};

static LEDGER: LazyLock<&Ledger> = LazyLock::new(|| {
    offheap_v8::start("").unwrap();
    offheap_ledger::install(Level::Full).unwrap()
});

/// The ledger, for one test at a time: each looks for the stores that it made.
fn ledger() -> (&'static Ledger, MutexGuard<'static, ()>) {
    static ONE: Mutex<()> = Mutex::new(());
    (*LEDGER, ONE.lock().unwrap_or_else(PoisonError::into_inner))
}

#[test]
fn the_ledger_names_the_script_that_waited() {
    let (ledger, _one) = ledger();
    let mut isolate = Isolate::new().unwrap();
    check_lines_of_script(&mut isolate, ledger, "");
    let externalized = find(ledger, 2000);
    assert!(externalized.created.to_string().starts_with("app.js:7:"), "{externalized}");
    uses_after_detach_in_a_scope_of_ones_own(&mut isolate, ledger);
}

const OWN: &str = "
const gone = new ArrayBuffer(8), view = new Uint8Array(gone);
gone.transfer();
use(gone, 0);
use(view, 1);
use(gone, 2);
use(gone, 3);
use(gone, 4);
//# sourceURL=own.js
";

fn use_it<'s>(scope: &mut v8::PinScope<'s, '_>, arguments: v8::FunctionCallbackArguments<'s>, _: v8::ReturnValue<'_>) {
    let value = arguments.get(0);
    let worked = match arguments.get(1).uint32_value(scope).unwrap() {
        0 => BackingStore::externalize(scope, value).is_ok(),
        1 => BackingStore::externalize_view(scope, value).is_ok(),
        2 => UniqueStore::take(scope, value, None).is_ok(),
        3 => transfer(scope, value, None).is_ok(),
        _ => copy_of::<u8>(scope, value).is_ok(),
    };
    assert!(!worked);
}

fn uses_after_detach_in_a_scope_of_ones_own(isolate: &mut Isolate, ledger: &Ledger) {
    let before = ledger.report().refusals.len();
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let function = v8::Function::new(scope, use_it).unwrap();
            let name = v8::String::new(scope, "use").unwrap();
            scope.get_current_context().global(scope).set(scope, name.into(), function.into());
            let source = v8::String::new(scope, OWN).unwrap();
            v8::Script::compile(scope, source, None).unwrap().run(scope).unwrap();
        });
    });
    refused_at(ledger, before, file!(), &[4, 5, 6, 7, 8]);
}

/// V8 may collect while it is asked, and at the end of its stack it may be asked, too.
#[test]
fn script_that_makes_buffers_is_named_whatever_v8_collects() {
    let (ledger, _one) = ledger();
    let made = |line: &str| {
        let at = |store: &LiveStore| store.created.to_string().starts_with(line);
        ledger.live().iter().filter(|store| at(store)).count()
    };
    let mut isolate = Isolate::builder().heap_limits(1 << 20, 64 << 20).build().unwrap();
    isolate.enter(|scope| {
        let source = "
            const make = (depth, length) => depth ? make(depth - 1, length) : new Uint8Array(length);
            globalThis.kept = [];
            for (let i = 0; i < 5000; i++) {
                const bytes = make(i % 60, 1 + i % 300).fill(7), other = new ArrayBuffer(8).slice(1);
                if (i % 10 === 0) kept.push(bytes, other);
            }
            kept.every((bytes, index) => index % 2 ? bytes.byteLength === 7 : bytes.every((byte) => byte === 7))";
        assert!(scope.eval::<bool>(Source::named("many.js", source)).unwrap());
        scope.collect();
        assert_eq!((made("many.js:2:"), made("many.js:5:")), (500, 500));
        let deep = "function deep() { new ArrayBuffer(8); deep() } try { deep() } catch (error) { String(error) }";
        let thrown: String = scope.eval(Source::named("deep.js", deep)).unwrap();
        assert!(thrown.contains("Maximum call stack size exceeded"), "{thrown}");
        // Once a program had a scope of the crate `v8`, script may call functions of its own, in which V8 is not asked.
        scope.with_v8(|_| ());
        scope.eval::<()>(Source::named("later.js", "globalThis.later = new ArrayBuffer(4321); undefined")).unwrap();
    });
    assert_eq!(find(ledger, 4321).created.to_string(), "script");
}

thread_local! {
    /// Handles of SharedArrayBuffers that native code has not had yet.
    static UNSEEN: RefCell<Vec<Handle<JsArrayBuffer>>> = const { RefCell::new(Vec::new()) };
}

/// Calls native functions that look at new buffers, under a guard over memory that only V8 keeps.
const UNDER_A_GUARD: &str = "
function deep(depth, call) { return depth ? deep(depth - 1, call) : call() }
for (let i = 0; i < 12000; i++) unseen(new SharedArrayBuffer(8));
globalThis.lives = deep(80, look);
";

#[test]
fn a1_v8_collects_nothing_under_a_guard_while_the_ledger_asks_for_script() {
    const LENT: usize = 54_321;
    let (ledger, _one) = ledger();
    let mut isolate = Isolate::builder().heap_limits(1 << 20, 128 << 20).build().unwrap();
    for by_handle in [true, false] {
        isolate.enter(|scope| {
            let unseen = scope.function("unseen", |scope, arguments| {
                let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
                UNSEEN.with_borrow_mut(|unseen| unseen.push(buffer.into_handle()));
                Ok(Value::Undefined)
            });
            let look = scope.function("look", move |scope, _| {
                let buffer = scope.allocate(LENT, None)?;
                let guard = scope.bytes(&buffer)?;
                drop(buffer);
                for handle in UNSEEN.take() {
                    if by_handle {
                        drop(ManuallyExternalizedBuffer::new(handle).unwrap());
                    } else {
                        assert!(scope.bytes(&handle).is_err(), "shared memory is not lent");
                    }
                }
                let lives = ledger.live().iter().any(|store| store.byte_length == LENT);
                std::mem::forget(guard);
                Ok(Value::from(lives))
            });
            let (unseen, look) = (unseen.unwrap(), look.unwrap());
            scope.set_global("unseen", &unseen).unwrap();
            scope.set_global("look", &look).unwrap();
            assert!(scope.eval::<bool>(&*format!("{UNDER_A_GUARD} lives")).unwrap(), "by handle: {by_handle}");
        });
    }
}
