//! What script sees of the ops.

use std::sync::Once;
use std::sync::atomic::Ordering;

use deno_core::{JsRuntime, v8, v8_set_flags};
use offheap_v8::offheap::{BackingStore, SharedStore};
use offheap_v8::{BackingStoreExt, V8_VERSION};

use crate::buffers::Buffer;

/// A runtime in a V8 that was started as in `main`. Threads of tests may be older than V8, and V8's memory-protection keys
/// would keep them out.
fn runtime() -> JsRuntime {
    static START: Once = Once::new();
    START.call_once(|| {
        crate::allow_immutable_buffers();
        v8_set_flags(vec!["test".to_owned(), "--no-memory-protection-keys".to_owned()]);
    });
    let mut runtime = crate::runtime();
    run(&mut runtime, "Object.assign(globalThis, Deno.core.ops)");
    runtime
}

fn run(runtime: &mut JsRuntime, script: &'static str) {
    crate::run(runtime, "test.js", script).unwrap_or_else(|error| panic!("{script}: {error}"));
}

fn eval(runtime: &mut JsRuntime, script: &'static str) -> String {
    let value = runtime.execute_script("test.js", script).unwrap_or_else(|error| panic!("{script}: {error}"));
    deno_core::scope!(scope, runtime);
    v8::Local::new(scope, value).to_rust_string_lossy(scope)
}

#[test]
fn both_have_the_same_v8() {
    let mut runtime = runtime();
    assert!(v8::VERSION_STRING == V8_VERSION, "{V8_VERSION}");
    // A scope outside of an op.
    deno_core::scope!(scope, &mut runtime);
    let store = BackingStore::from_owner(vec![7_u8; 8]).unwrap();
    let buffer = store.expose(scope).unwrap();
    assert_eq!(BackingStore::externalize(scope, buffer.into()).unwrap(), store);
}

#[test]
fn a_vec_becomes_a_typed_array() {
    assert_eq!(
        eval(&mut runtime(), "const a = op_squares(4); a[3] = 7; `${a.constructor.name} ${a}`"),
        "Float64Array 0,1,4,7"
    );
}

#[test]
fn any_buffer_or_view_is_read() {
    let mut runtime = runtime();
    assert_eq!(eval(&mut runtime, "op_sum(new Uint8Array([1, 2, 3]).buffer)"), "6");
    assert_eq!(eval(&mut runtime, "op_sum(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))"), "5");
    assert_eq!(eval(&mut runtime, "op_sum(new ArrayBuffer(0))"), "0");
}

#[test]
fn errors_have_a_class_and_a_code() {
    let mut runtime = runtime();
    for (script, expected) in [
        ("op_sum('text')", "TypeError NOT_AN_ARRAY_BUFFER"),
        ("op_detach(new SharedArrayBuffer(8))", "TypeError NOT_DETACHABLE"),
        ("op_detach(op_table())", "TypeError IMMUTABLE"),
        ("const b = new ArrayBuffer(8); b.transfer(); op_sum(b)", "TypeError DETACHED"),
        ("op_kept()", "TypeError undefined"),
    ] {
        let script = format!("try {{ {script} }} catch (error) {{ `${{error.constructor.name}} ${{error.code}}` }}");
        assert_eq!(eval(&mut runtime, script.leak()), expected);
    }
}

#[test]
fn what_is_kept_has_the_same_memory() {
    let mut runtime = runtime();
    run(&mut runtime, "globalThis.b = new Uint8Array([1, 2]); op_keep(b); b[0] = 9");
    {
        let state = runtime.op_state();
        let mut state = state.borrow_mut();
        assert_eq!(state.borrow_mut::<Buffer>().0.to_vec().unwrap(), [9, 2]);
    }
    run(&mut runtime, "globalThis.again = op_kept(); b[1] = 8");
    assert_eq!(eval(&mut runtime, "new Uint8Array(again)"), "9,8");
}

#[test]
fn what_is_taken_is_detached_and_comes_back() {
    let mut runtime = runtime();
    let script =
        "const b = new Uint8Array([3, 1, 2]).buffer; const s = op_sort(b); `${b.detached} ${new Uint8Array(s)}`";
    assert_eq!(eval(&mut runtime, script), "true 1,2,3");
}

#[test]
fn read_only_memory_is_not_copied() {
    let mut runtime = runtime();
    let script = "const t = op_table(); try { 'use strict'; new BigUint64Array(t)[0] = 5n } catch {} \
                  `${t.immutable} ${new BigUint64Array(t)[0]}`";
    assert_eq!(eval(&mut runtime, script), "true 1");
}

#[test]
fn script_and_rust_count_together() {
    let mut runtime = runtime();
    run(&mut runtime, "globalThis.counter = new Uint8Array(op_counter()); Atomics.add(counter, 0, 2)");
    let store = runtime.op_state().borrow().borrow::<SharedStore>().clone();
    store.as_atomics()[0].fetch_add(3, Ordering::SeqCst);
    assert_eq!(eval(&mut runtime, "Atomics.load(counter, 0)"), "5");
}

#[test]
fn a_store_crosses_to_another_thread() {
    let mut runtime = runtime();
    run(&mut runtime, "op_reverse(new Uint8Array([1, 2, 3])).then((r) => { globalThis.r = new Uint8Array(r) })");
    assert_eq!(eval(&mut runtime, "`${r}`"), "3,2,1");
}
