//! What is too long, too large or wrong is an error, and the process lives.

use std::time::{Duration, Instant};

use datafusion::common::DataFusionError;
use offheap_datafusion::{Error, sql};

use crate::{error, rows, session};

/// Makes `f(x DOUBLE) RETURNS DOUBLE` of a body, which may end without a `return`.
fn body(text: &str) -> String {
    format!("CREATE OR REPLACE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS $body$ {text}\nreturn x $body$")
}

fn find(error: &DataFusionError) -> Option<&Error> {
    match error.find_root() {
        DataFusionError::External(error) => error.downcast_ref(),
        _ => None,
    }
}

/// A function that works on the thread in which something else went wrong.
const SOUND: &str = "CREATE OR REPLACE FUNCTION sound(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'x => x + 1'";

#[tokio::test]
async fn endless_loops_of_many_shapes_end() {
    let context = session();
    rows(&context, &["SET js.time_limit_ms = 500", SOUND]).await;
    for text in [
        "for (;;);",
        "for (;;) new Array(1000).fill(1.5)",
        "const a = []; for (;;) { a.push(1); a.pop() }",
        "let s = ''; for (;;) { s += 'x'; if (s.length > 1000) s = '' }",
        "return /(a+)+b/.test('a'.repeat(60)) ? 1 : 0",
        "return [3, 2, 1].sort(() => { for (;;); })[0]",
        "const again = n => n > 0 ? again(n - 1) + again(n - 1) : 1; return again(80)",
        "return { get y() { for (;;); } }.y",
        "for (;;) { try { for (;;); } catch {} finally { continue } }",
        "for (;;) [3, 2, 1].sort()",
        "return new Proxy({}, { get() { for (;;); } }).y",
        "return { valueOf() { for (;;); } } + 1",
        "JSON.stringify({ toJSON() { for (;;); } }); return 1",
        "const m = new Map([[1, 1]]); m.forEach((v, k) => { m.delete(k); m.set(k, v) }); return 1",
        "for (const x of (function* () { for (;;) yield 1 })()); return 1",
    ] {
        let began = Instant::now();
        let error = error(&context, &[&body(text), "SELECT f(1)"]).await;
        assert!(
            matches!(find(&error), Some(Error::TimeLimit { function, time_limit_ms: 500 }) if function == "f"),
            "{text}: {error}"
        );
        assert!(began.elapsed() < Duration::from_secs(30), "{text}: {:?}", began.elapsed());
        assert_eq!(rows(&context, &["SELECT sound(1)"]).await, ["2.0"], "{text}");
    }
}

#[tokio::test]
async fn an_endless_loop_in_the_text_itself_ends() {
    let context = session();
    rows(&context, &["SET js.time_limit_ms = 500"]).await;
    let create = "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS '(() => { for (;;); })()'";
    let error = error(&context, &[create]).await;
    assert!(matches!(find(&error), Some(Error::TimeLimit { .. })), "{error}");
}

#[tokio::test]
async fn what_eats_the_heap_is_stopped() {
    let context = session();
    rows(&context, &["SET js.heap_limit_mb = 32", "SET js.time_limit_ms = 60000", SOUND]).await;
    for text in [
        "const all = []; for (;;) all.push({ x })",
        "const all = new Map(); for (let i = 0;; i++) all.set(i, 'x' + i)",
        "const all = []; for (let i = 0;; i++) all.push('x'.repeat(1000) + i)",
        "globalThis.all ??= []; for (;;) all.push([x, x, x])",
    ] {
        let error = error(&context, &[&body(text), "SELECT f(1)"]).await;
        assert!(
            matches!(find(&error), Some(Error::HeapLimit { function, heap_limit_mb: 32 }) if function == "f"),
            "{text}: {error}"
        );
        assert_eq!(rows(&context, &["SELECT sound(1)"]).await, ["2.0"], "{text}");
    }
}

#[tokio::test]
async fn one_large_step_ends_with_the_limit_that_it_hits_first() {
    let context = session();
    rows(&context, &["SET js.heap_limit_mb = 32", "SET js.time_limit_ms = 5000", SOUND]).await;
    let text = "const all = new Array(1e8).fill(0); for (const each of all) x += each; return x";
    let error = error(&context, &[&body(text), "SELECT f(1)"]).await;
    assert!(matches!(find(&error), Some(Error::HeapLimit { .. } | Error::TimeLimit { .. })), "{error}");
    assert_eq!(rows(&context, &["SELECT sound(1)"]).await, ["2.0"]);
}

#[tokio::test]
async fn buffers_beyond_the_limit_throw() {
    let context = session();
    rows(&context, &[SOUND, "SET js.buffer_limit_mb = 1"]).await;
    for text in [
        "return new Float64Array(2e9)[0]",
        "return new ArrayBuffer(2 ** 20 + 1).byteLength",
        "const all = []; for (;;) all.push(new Uint8Array(1e5))",
    ] {
        let error = error(&context, &[&body(text), "SELECT f(1)"]).await.to_string();
        assert!(error.contains("JavaScript function f: RangeError: Array buffer allocation failed"), "{text}: {error}");
        assert_eq!(rows(&context, &["SELECT sound(1)"]).await, ["2.0"], "{text}");
    }
    // What nobody refers to any more is collected, and does not count.
    assert_eq!(rows(&context, &[&body("return new Uint8Array(1e6).length"), "SELECT f(1)"]).await, ["1000000.0"]);
    // Columns are not script's buffers.
    let query = "SELECT sum(sound(value)) FROM generate_series(1, 1000000) AS t(value)";
    assert_eq!(rows(&context, &["SET datafusion.execution.batch_size = 500000", query]).await, ["500001500000.0"]);
}

#[tokio::test]
async fn the_limits_are_those_of_the_session_when_a_query_is_planned() {
    let context = session();
    rows(&context, &[&body("const end = Date.now() + 300; while (Date.now() < end); return 1")]).await;
    assert_eq!(rows(&context, &["SELECT f(1)"]).await, ["1.0"]);
    for query in ["SELECT f(1)", "SELECT (SELECT max(f(value)) FROM generate_series(1, 1) AS t(value))"] {
        let error = error(&context, &["SET js.time_limit_ms = 50", query]).await;
        assert!(matches!(find(&error), Some(Error::TimeLimit { time_limit_ms: 50, .. })), "{error}");
    }
    let another = session();
    rows(&another, &[&body("return 7")]).await;
    assert_eq!(rows(&another, &["SELECT f(1)"]).await, ["7.0"]);
    let refused = error(&context, &["SET js.time_limit_ms = 0"]).await.to_string();
    assert!(refused.contains("js.time_limit_ms must be a whole number from 1"), "{refused}");
}

#[tokio::test]
async fn results_are_checked() {
    let context = session();
    for (result, text, told) in [
        ("DOUBLE", "'1'", "string"),
        ("DOUBLE", "true", "boolean"),
        ("DOUBLE", "{}", "object"),
        ("DOUBLE", "[1]", "object"),
        ("DOUBLE", "1n", "bigint"),
        ("DOUBLE", "Symbol()", "symbol"),
        ("DOUBLE", "() => 1", "function"),
        ("DOUBLE", "Promise.resolve(1)", "Promise"),
        ("INT", "NaN", "NaN"),
        ("INT", "0.5", "0.5"),
        ("INT", "2 ** 31", "2147483648"),
        ("INT", "-(2 ** 31) - 1", "-2147483649"),
        ("INT", "Infinity", "Infinity"),
    ] {
        let create =
            format!("CREATE OR REPLACE FUNCTION f(x DOUBLE) RETURNS {result} LANGUAGE JS AS $$ return {text} $$");
        let error = error(&context, &[&create, "SELECT f(1)"]).await.to_string();
        let named = error.contains("JavaScript function f: it returned ") && error.contains("row 0");
        assert!(named && error.contains(told), "{text}: {error}");
    }
}

#[tokio::test]
async fn whatever_is_thrown_is_an_error() {
    let context = session();
    for thrown in [
        "null",
        "undefined",
        "'text'",
        "{ toString() { throw 1 } }",
        "{ toString() { return {} }, valueOf() { return {} } }",
        "Object.create(null)",
        "Symbol('s')",
        "new Proxy({}, { get() { throw 1 } })",
        "Object.assign(new Error(), { get message() { throw 1 }, get stack() { throw 1 } })",
    ] {
        let error = error(&context, &[&body(&format!("throw ({thrown})")), "SELECT f(1)"]).await.to_string();
        assert!(error.contains("JavaScript function f: "), "{thrown}: {error}");
    }
    rows(&context, &[SOUND]).await;
    let recursion = error(&context, &[&body("const f = () => f() + 1; return f()"), "SELECT f(1)"]).await.to_string();
    assert!(recursion.contains("RangeError: Maximum call stack size exceeded"), "{recursion}");
    assert_eq!(rows(&context, &["SELECT sound(1)"]).await, ["2.0"]);
}

#[tokio::test]
async fn a_function_that_replaces_what_is_built_in_disturbs_no_other() {
    let context = session();
    let vandal = body(
        "String.prototype.substring = () => 'no'; Array.prototype[Symbol.iterator] = null; Object.prototype.x = 1;
         Math.max = () => 0; Number.isInteger = () => false; globalThis.Float64Array = null; Array.prototype.push = null;
         Object.defineProperty(Object.prototype, '0', { set() { throw 1 }, configurable: true });
         return x",
    );
    let beside = "CREATE FUNCTION beside(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS
        $$ return ({}).x === undefined && 'text'.substring(1) === 'ext' && Math.max(...[1, 2]) === 2 ? x : -1 $$";
    let query = "SELECT f(value) = value AND beside(value) = value FROM generate_series(1, 3) AS t(value)";
    for _ in 0..2 {
        assert_eq!(rows(&context, &[&vandal, beside, query, query]).await, ["true", "true", "true"]);
        sql(&context, "DROP FUNCTION beside").await.unwrap();
    }
}

#[tokio::test]
async fn texts_with_anything_in_them() {
    let context = session();
    for text in ["'a' // $$", "'a'\0", "\"a\"; // '\" `", "'\u{2028}a\u{1F600}'"] {
        let text = text.replace('\'', "''");
        let create = format!(
            "CREATE OR REPLACE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'const s = {text}\n; return s.length'"
        );
        match sql(&context, &create).await {
            Ok(_) => assert_eq!(rows(&context, &["SELECT f(1)"]).await.len(), 1),
            Err(error) => assert!(error.to_string().contains("JavaScript function f: SyntaxError"), "{error}"),
        }
    }
    let long = body(&format!("/* {} */ return x", "é".repeat(1 << 20)));
    assert_eq!(rows(&context, &[&long, "SELECT f(7)"]).await, ["7.0"]);
}

#[tokio::test]
async fn more_functions_than_a_thread_keeps() {
    let context = session();
    for round in 0..2 {
        for n in 0..100 {
            let create =
                format!("CREATE OR REPLACE FUNCTION f{n}(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'x => x + {n}'");
            rows(&context, &[&create]).await;
        }
        for n in 0..100 {
            assert_eq!(rows(&context, &[&format!("SELECT f{n}({round})")]).await, [format!("{}.0", n + round)]);
        }
    }
}

#[tokio::test]
async fn a_function_that_keeps_a_vector_reads_and_writes_nothing_else() {
    let context = session();
    rows(&context, &["SET datafusion.execution.batch_size = 2", "SET datafusion.execution.target_partitions = 1"])
        .await;
    let create = "CREATE FUNCTION f(x DOUBLE[]) RETURNS DOUBLE LANGUAGE JS AS
        $$ const all = globalThis.all ??= []; all.push(x)
        for (const each of all) { try { each[0] = -1 } catch {} if (each[0] !== each[1] - 1) return -1 }
        return all.length $$";
    let query = "SELECT max(f(make_array(value + 0.0, value + 1.0))) AS m, min(f(make_array(value + 0.0, value + 1.0))) AS l \
                 FROM generate_series(1, 100) AS t(value)";
    // Both columns are of one function, which gets two rows of one and then two of the other. Nothing that it kept has changed.
    assert_eq!(rows(&context, &[create, query]).await, ["198.0,3.0"]);
    assert_eq!(rows(&context, &["SELECT f(make_array(1.0, 2.0)) > 200"]).await, ["true"]);
}
