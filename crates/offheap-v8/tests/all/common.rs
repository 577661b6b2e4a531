//! Helpers that several tests use.

use std::process::{Command, Output};
use std::sync::Once;

pub(crate) use offheap_conformance::stores::{Count, counted, numbered};
use offheap_v8::{Isolate, v8};

/// Starts V8 once for all tests, with the flag that allows collections of only young objects, and with the flags in
/// `OFFHEAP_V8_FLAGS`, which `.ci/valgrind-v8` sets.
pub(crate) fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        let more = std::env::var("OFFHEAP_V8_FLAGS").unwrap_or_default();
        offheap_v8::start(&format!("--expose-gc {more}")).expect("V8 starts");
    });
}

/// Makes an isolate. V8 is started for tests.
pub(crate) fn isolate() -> Isolate {
    start();
    Isolate::new().unwrap()
}

/// Runs `work` in a new isolate and context of the crate `v8`.
pub(crate) fn in_own_scope<R>(work: impl FnOnce(&mut v8::PinScope<'_, '_>) -> R) -> R {
    start();
    let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    work(scope)
}

/// Runs script, which must not throw.
pub(crate) fn run<'s>(scope: &mut v8::PinScope<'s, '_>, source: &str) -> v8::Local<'s, v8::Value> {
    let code = v8::String::new(scope, source).unwrap();
    let result = v8::Script::compile(scope, code, None).and_then(|script| script.run(scope));
    result.unwrap_or_else(|| panic!("threw: {source}"))
}

/// Gives a value to script under a name.
pub(crate) fn set<'s>(scope: &mut v8::PinScope<'s, '_>, name: &str, value: v8::Local<'s, v8::Value>) {
    let name = v8::String::new(scope, name).unwrap();
    let global = scope.get_current_context().global(scope);
    assert_eq!(global.set(scope, name.into(), value), Some(true));
}

/// Runs the test of this name as the only one in a new process. Returns `None` in that process itself.
pub(crate) fn in_child(test: &str) -> Option<Output> {
    const CHILD: &str = "OFFHEAP_V8_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    Some(child.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, "1").output().unwrap())
}
