//! What is too long, too large or wrong is an error, and the process lives.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringViewArray, StringViewBuilder};
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

/// The CPU time of this thread, which runs the queries: other programs may keep it waiting.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
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
        "const again = () => Promise.resolve().then(again); again(); return 1",
    ] {
        let begin = cpu_time();
        let error = error(&context, &[&body(text), "SELECT f(1)"]).await;
        assert!(
            matches!(find(&error), Some(Error::TimeLimit { function, time_limit_ms: 500 }) if function == "f"),
            "{text}: {error}"
        );
        let taken = cpu_time() - begin;
        assert!(taken < Duration::from_secs(30), "{text}: {taken:?}");
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
    let told = error.to_string();
    assert!(told.contains("stopped, since it ran longer than 500 ms (js.time_limit_ms)"), "{told}");
}

#[tokio::test]
async fn a_call_of_constants_that_fails_is_made_once_in_a_query() {
    let context = session();
    let thrower = "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS IMMUTABLE AS
        $$ throw new Error(`call ${globalThis.calls = (globalThis.calls ?? 0) + 1} with ${x}`); return x $$";
    rows(&context, &[thrower, "CREATE TABLE numbers AS SELECT value AS i FROM generate_series(1, 10) AS t(value)"])
        .await;
    for (at, query) in [
        "SELECT f(1)",
        "SELECT f(1) + 1, i FROM numbers WHERE f(1) > i",
        "SELECT count(*) FROM numbers AS a JOIN numbers AS b ON a.i = b.i + f(1) WHERE f(1) = (SELECT max(f(1)) FROM numbers)",
    ]
    .into_iter()
    .enumerate()
    {
        let told = error(&context, &[query]).await.to_string();
        assert!(told.contains(&format!("JavaScript function f: Error: call {} with 1", at + 1)), "{query}: {told}");
    }
    // An error is remembered for the same function and arguments, and where nothing needs the call there is none.
    let other = "SELECT CASE WHEN i > 5 THEN f(2) ELSE f(3) END FROM numbers WHERE i = 6";
    let told = error(&context, &[other]).await.to_string();
    assert!(told.contains("with 2"), "{told}");
    let unused = "SELECT sum(CASE WHEN i > 10 THEN f(2) ELSE 0 END) FROM numbers";
    assert_eq!(rows(&context, &[unused]).await, ["0.0"]);
    // The next query makes the call again, also where its plan was made long ago.
    rows(&context, &["CREATE VIEW v AS SELECT f(4) AS y", "PREPARE p AS SELECT f(4)"]).await;
    let mut all = Vec::new();
    for query in ["SELECT y FROM v", "SELECT y FROM v", "EXECUTE p", "EXECUTE p"] {
        all.push(error(&context, &[query]).await.to_string());
        assert!(all.last().unwrap().contains("with 4"), "{all:?}");
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4, "{all:?}");
    // A parameter of EXECUTE is computed before there is a plan.
    rows(&context, &["PREPARE q(DOUBLE) AS SELECT $1"]).await;
    let [told, next] =
        [error(&context, &["EXECUTE q(f(5.0))"]).await, error(&context, &["EXECUTE q(f(6.0) + 1.0)"]).await]
            .map(|error| error.to_string());
    let number = |told: &str, argument: u32| -> Option<u32> {
        let (_, call) = told.split_once("JavaScript function f: Error: call ")?;
        call.split_once(&format!(" with {argument}"))?.0.parse().ok()
    };
    let (first, second) = (number(&told, 5), number(&next, 6));
    assert!(first.is_some() && second == first.map(|first| first + 1), "{told}; {next}");
}

#[tokio::test]
async fn the_time_limit_holds_for_planning() {
    let context = session();
    let endless = "CREATE FUNCTION n(x DOUBLE) RETURNS DOUBLE LANGUAGE JS IMMUTABLE AS 'x => { for (;;); }'";
    rows(&context, &["SET js.time_limit_ms = 1500", endless]).await;
    for (statement, fails) in [
        ("SELECT n(1)", true),
        ("SELECT n(1) + n(1) WHERE n(1) > 0", true),
        ("EXPLAIN SELECT n(1)", false),
        ("PREPARE p AS SELECT n(1)", false),
        ("EXECUTE p", true),
        ("PREPARE q(DOUBLE) AS SELECT $1", false),
        ("EXECUTE q(n(1.0))", true),
    ] {
        let begin = cpu_time();
        let result = match sql(&context, statement).await {
            Ok(frame) => frame.collect().await,
            Err(error) => Err(error),
        };
        match result {
            Ok(_) => assert!(!fails, "{statement}"),
            Err(error) => assert!(
                fails && matches!(find(&error), Some(Error::TimeLimit { time_limit_ms: 1500, .. })),
                "{statement}: {error}"
            ),
        }
        // It runs once. Without a memory for the error, these take from 5 to 30 times the limit.
        let taken = cpu_time() - begin;
        assert!(taken < Duration::from_millis(4500), "{statement}: {taken:?}");
    }
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
        assert!(error.contains("ArrayBuffers may have 1 MiB (js.buffer_limit_mb)"), "{text}: {error}");
        assert_eq!(rows(&context, &["SELECT sound(1)"]).await, ["2.0"], "{text}");
    }
    let lists = "CREATE FUNCTION lists(x DOUBLE) RETURNS DOUBLE[] LANGUAGE JS AS 'x => new Array(1000).fill(x)'";
    let told = error(&context, &[lists, "SELECT count(lists(value)) FROM generate_series(1, 8000) AS t(value)"]).await;
    assert!(matches!(find(&told), Some(Error::BufferLimit { buffer_limit_mb: 1, .. })), "{told}");
    assert!(told.to_string().contains("ArrayBuffers may have 1 MiB (js.buffer_limit_mb)"), "{told}");
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
async fn reset_gives_a_setting_its_default_value() {
    let context = session();
    let show = |name: &str| format!("SELECT value FROM information_schema.df_settings WHERE name = '{name}'");
    rows(&context, &["SET datafusion.catalog.information_schema = true"]).await;
    for (name, value, default) in
        [("js.time_limit_ms", "77", "10000"), ("js.heap_limit_mb", "77", "256"), ("js.buffer_limit_mb", "77", "256")]
    {
        assert_eq!(rows(&context, &[&format!("SET {name} = {value}"), &show(name)]).await, [value]);
        assert_eq!(rows(&context, &[&format!("RESET {name}"), &show(name)]).await, [default]);
    }
    let told = error(&context, &["RESET js.stack"]).await.to_string();
    assert!(told.contains("there is no setting js.stack"), "{told}");
    rows(&context, &["SET datafusion.execution.batch_size = 7", "RESET datafusion.execution.batch_size"]).await;
    assert_eq!(rows(&context, &[&show("datafusion.execution.batch_size")]).await, ["8192"]);
}

#[tokio::test]
async fn a_batch_that_is_too_large_names_the_setting_for_it() {
    let context = session();
    // All rows are one text of 1 MiB in memory, and V8's strings have less than 512 MiB.
    let text = "x".repeat(1 << 20);
    let column: StringViewArray = {
        let mut builder = StringViewBuilder::new();
        let block = builder.append_block(text.as_bytes().into());
        for _ in 0..600 {
            builder.try_append_view(block, 0, 1 << 20).unwrap();
        }
        builder.finish()
    };
    let batch = RecordBatch::try_from_iter([("x", Arc::new(column) as ArrayRef)]).unwrap();
    context.register_batch("texts", batch).unwrap();
    let length = "CREATE FUNCTION f(x VARCHAR) RETURNS DOUBLE LANGUAGE JS AS 'x => x.length'";
    let told = error(&context, &[length, "SELECT sum(f(x)) FROM texts"]).await.to_string();
    assert!(told.contains("JavaScript function f: a batch with 629145600 bytes of text is too large"), "{told}");
    assert!(told.contains("(datafusion.execution.batch_size)"), "{told}");
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
