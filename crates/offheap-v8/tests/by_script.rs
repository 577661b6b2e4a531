//! Stores that native functions make, expose and externalize while script waits: the ledger names the lines of script. It has
//! a separate file, because a process has one observer.

use std::sync::Mutex;

use offheap_ledger::{Ledger, Level, LiveStore, Stack};
use offheap_v8::offheap::BackingStore;
use offheap_v8::{Isolate, JsArrayBuffer, Local, Scope, Source, Value};

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
    offheap_v8::start("").unwrap();
    let ledger = offheap_ledger::install(Level::Full).unwrap();
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

    // Native code that no script waits for.
    isolate.enter(|scope| {
        let store = BackingStore::from_owner(vec![0_u8; 300]).unwrap();
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("kept", &buffer).unwrap();
    });
    let alone = find(ledger, 300);
    assert!(alone.exposed_by.is_none() && !alone.to_string().contains("exposed at"), "{alone}");
}
