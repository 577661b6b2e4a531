//! Stores that native functions make, expose and externalize while script waits: the ledger names the lines of script. It has
//! a separate file, because a process has one observer.

use std::cell::RefCell;
use std::sync::{LazyLock, Mutex};

use offheap_ledger::{Ledger, Level, LiveStore, Stack};
use offheap_v8::offheap::{BackingStore, ManualHeap, ManualMemory, Site};
use offheap_v8::{Handle, Isolate, JsArrayBuffer, Local, ManuallyExternalizedBuffer, Scope, Source, Value};

static LEDGER: LazyLock<&Ledger> = LazyLock::new(|| {
    offheap_v8::start("").unwrap();
    offheap_ledger::install(Level::Full).unwrap()
});

static KEPT: Mutex<Vec<BackingStore>> = Mutex::new(Vec::new());

const SCRIPT: &str = "
function frame() {
    return load(100);
}
globalThis.shown = frame();
(function outer() {
    keep(new ArrayBuffer(2000));
})();
";

fn define(scope: &mut Scope<'_>) {
    let load = scope.function("load", |scope, arguments| {
        let store = BackingStore::from_owner(vec![0_u8; arguments.get::<u32>(scope, 0)? as usize])?;
        Ok(Value::from(scope.expose(&store)?))
    });
    let keep = scope.function("keep", |scope, arguments| {
        let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
        let store = scope.externalize(&buffer)?;
        KEPT.lock().unwrap().push(store);
        Ok(Value::from(true))
    });
    let (load, keep) = (load.unwrap(), keep.unwrap());
    scope.set_global("load", &load).unwrap();
    scope.set_global("keep", &keep).unwrap();
}

fn find(ledger: &Ledger, byte_length: usize) -> LiveStore {
    ledger.live().into_iter().find(|store| store.byte_length == byte_length).unwrap()
}

/// Functions with their places, without columns.
fn named(stack: Option<Stack>) -> Vec<String> {
    let frames = stack.expect("there is a stack").frames().iter();
    let without_column = |site: &str| site.rsplit_once(':').map_or(site, |(site, _)| site).to_owned();
    frames
        .map(|frame| {
            format!(
                "{} {}",
                frame.function.as_deref().unwrap_or(""),
                without_column(frame.site.as_deref().unwrap_or(""))
            )
        })
        .collect()
}

#[test]
fn the_ledger_names_the_script_that_waited() {
    let ledger = *LEDGER;
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        define(scope);
        scope.eval::<()>(Source::named("app.js", &format!("{SCRIPT}; undefined"))).unwrap();
    });

    let exposed = find(ledger, 100);
    let script = ["frame app.js:3", " app.js:5"];
    assert_eq!(named(exposed.exposed_by)[1..3], script);
    let said = exposed.to_string();
    assert!(said.contains(&format!("1 buffer in {}, exposed at app.js:3:", isolate.id())), "{said}");
    let exposure = exposed.history.iter().find(|past| past.event == "exposed").unwrap();
    assert!(exposure.site.unwrap().to_string().starts_with("app.js:3:"));

    let externalized = find(ledger, 2000);
    // V8 is not asked for the line that makes a buffer, but for the one from which native code took it.
    assert_eq!(externalized.created.to_string(), "script");
    assert!(externalized.to_string().contains(", externalized at app.js:7:"), "{externalized}");
    let frames = named(externalized.externalized_by);
    let at = frames.iter().position(|frame| frame == "outer app.js:7").unwrap_or_else(|| panic!("{frames:#?}"));
    assert_eq!(frames[at + 1], " app.js:8");
    assert!(frames[at - 1].contains("by_script.rs"), "the native function that script called: {frames:#?}");
    assert!(frames[at + 2].contains("by_script.rs"), "what ran the script: {frames:#?}");

    a_transfer_is_told(&mut isolate, ledger);
    each_refusal_names_both_lines(&mut isolate, ledger);

    // Native code that no script waits for.
    isolate.enter(|scope| {
        let store = BackingStore::from_owner(vec![0_u8; 300]).unwrap();
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("kept", &buffer).unwrap();
    });
    let alone = find(ledger, 300);
    assert!(alone.exposed_by.is_none() && !alone.to_string().contains("exposed at"), "{alone}");
}

/// The latest event of the store that a global shows, and the place in script.
fn last(ledger: &Ledger) -> (&'static str, Option<Site>) {
    let store = find(ledger, 100);
    // With the feature `track-handles`, native handles come and go too.
    let is_of_handle = |event| ["referenced", "dropped"].contains(&event);
    let past = store.history.iter().rfind(|past| !is_of_handle(past.event)).unwrap();
    (past.event, past.site)
}

fn a_transfer_is_told(isolate: &mut Isolate, ledger: &Ledger) {
    isolate.enter(|scope| {
        let shown: Local<'_, JsArrayBuffer> = scope.global("shown").unwrap();
        let moved = scope.transfer(&shown, None).unwrap();
        scope.set_global("shown", &moved).unwrap();
    });
    assert_eq!(last(ledger), ("transferred", None));
    isolate.enter(|scope| scope.collect());
    assert_eq!(find(ledger, 100).holders.buffers[0].count, 1, "the new buffer has the store");
}

/// Errors of native functions: the line of the error, and the one that came first.
fn each_refusal_names_both_lines(isolate: &mut Isolate, ledger: &Ledger) {
    let line = |from: u32, step: u32| format!("tests/by_script.rs:{}:", from + step);
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
    let told = ledger.report().refusals;
    let places: Vec<_> =
        told.iter().map(|told| (told.code, told.at.to_string(), told.earlier.map(|at| at.to_string()))).collect();
    let expected = [
        ("FREE_IN_USE", 3, Some(1)),
        ("DETACHED", 5, Some(4)),
        ("DOUBLE_FREE", 7, Some(6)),
        ("UNKNOWN_ADDRESS", 8, None),
    ];
    assert_eq!(places.len(), expected.len(), "{places:#?}");
    assert!(told[..3].iter().all(|told| told.store == Some(store)), "{told:#?}");
    for ((code, at, earlier), (known, step, first)) in places.iter().zip(expected) {
        assert_eq!(*code, known);
        assert!(at.contains(&line(begin, step)), "{code} at {at}");
        assert_eq!(earlier.is_some(), first.is_some(), "{code}");
        if let (Some(earlier), Some(first)) = (earlier, first) {
            assert!(earlier.contains(&line(begin, first)), "{code} earlier at {earlier}");
        }
    }
}

thread_local! {
    /// Handles of SharedArrayBuffers that native code has not had yet.
    static UNSEEN: RefCell<Vec<Handle<JsArrayBuffer>>> = const { RefCell::new(Vec::new()) };
}

/// Calls native functions that look at new buffers, under a guard over memory that only V8 keeps.
const UNDER_A_GUARD: &str = "
function deep(depth, call) { return depth ? deep(depth - 1, call) : call() }
for (let i = 0; i < 60000; i++) unseen(new SharedArrayBuffer(8));
globalThis.lives = deep(80, look);
";

#[test]
fn a1_v8_collects_nothing_under_a_guard_while_the_ledger_asks_for_script() {
    const LENT: usize = 54_321;
    let ledger = *LEDGER;
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
