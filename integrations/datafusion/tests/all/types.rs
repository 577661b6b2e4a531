//! Each type in and out of SQL, and NULL.

use offheap_datafusion::sql;

use crate::{error, rows, session};

#[tokio::test]
async fn each_type_comes_in_and_goes_out() {
    let context = session();
    for (data_type, literal, text, result) in [
        ("BOOLEAN", "true", "x => !x", "false"),
        ("TINYINT", "-128", "x => x + 255", "127"),
        ("SMALLINT", "7", "x => x * 1000", "7000"),
        ("INT", "2147483647", "x => x - 1", "2147483646"),
        ("BIGINT", "9007199254740991", "x => x - 1", "9007199254740990"),
        ("BIGINT", "9007199254740993", "x => typeof x === `bigint` ? x + 2n : 0", "9007199254740995"),
        ("INT UNSIGNED", "4294967295", "x => x - 1", "4294967294"),
        ("REAL", "0.5", "x => x / 2", "0.25"),
        ("DOUBLE", "0.1", "x => x + 0.2", "0.30000000000000004"),
        ("VARCHAR", "'grün'", "x => x.toUpperCase()", "GRÜN"),
        ("TEXT", "'a' || chr(128512)", "x => x + x.length", "a\u{1F600}3"),
        ("DATE", "'2024-02-28'", "x => x + 86400000", "2024-02-29"),
        ("TIMESTAMP", "'2024-02-28T23:59:59.5'", "x => x + 500", "2024-02-29T00:00:00"),
    ] {
        let create = format!("CREATE OR REPLACE FUNCTION f(x {data_type}) RETURNS {data_type} LANGUAGE JS AS '{text}'");
        let query = format!("SELECT f(CAST({literal} AS {data_type}))");
        assert_eq!(rows(&context, &[&create, &query]).await, [result], "{data_type}");
        // A column, with NULLs in it.
        let query = format!(
            "SELECT count(f(x)), count(DISTINCT f(x)) FROM \
             (SELECT CASE WHEN value % 3 > 0 THEN CAST({literal} AS {data_type}) END AS x FROM generate_series(1, 900) AS t(value))"
        );
        assert_eq!(rows(&context, &[&query]).await, ["600,1"], "{data_type}");
    }
}

#[tokio::test]
async fn lists_bytes_and_dictionaries_come_in() {
    let context = session();
    for (data_type, argument, text, result) in [
        ("DOUBLE[]", "make_array(1.5, 2.5)", "x => x[0] + x[1]", "4.0"),
        ("INT[]", "make_array(1, 2, 3)", "x => x.length", "3.0"),
        ("REAL[3]", "make_array(1, 2, 3)", "x => x.reduce((a, b) => a + b)", "6.0"),
        ("BYTEA", "x'00FF10'", "x => x[1] + x.length", "258.0"),
        ("VARCHAR", "arrow_cast('four', 'Dictionary(Int32, Utf8)')", "x => x.length", "4.0"),
        ("VARCHAR", "arrow_cast('four', 'LargeUtf8')", "x => x.length", "4.0"),
    ] {
        let create = format!("CREATE OR REPLACE FUNCTION f(x {data_type}) RETURNS DOUBLE LANGUAGE JS AS '{text}'");
        assert_eq!(rows(&context, &[&create, &format!("SELECT f({argument})")]).await, [result], "{data_type}");
    }
    let write =
        "CREATE OR REPLACE FUNCTION f(x DOUBLE[]) RETURNS DOUBLE LANGUAGE JS AS 'x => { x[0] = 7; return x[0] }'";
    let query = "SELECT f(make_array(1.5))";
    assert_eq!(rows(&context, &[write, query]).await, ["1.5"], "columns are read-only");
}

#[tokio::test]
async fn lists_and_bytes_go_out() {
    let context = session();
    for (data_type, text, value, result) in [
        ("DOUBLE[]", "x => [x, x / 2]", "1", "[1.0, 0.5]"),
        ("DOUBLE[]", "x => new Float64Array(x)", "2", "[0.0, 0.0]"),
        ("DOUBLE[]", "x => []", "1", "[]"),
        ("INT[]", "x => Int32Array.of(x, -1)", "7", "[7, -1]"),
        ("REAL[3]", "x => new Float32Array(3).fill(x)", "0.5", "[0.5, 0.5, 0.5]"),
        ("BYTEA", "x => Uint8Array.of(x, 0, 16)", "255", "ff0010"),
        ("BYTEA", "x => new Uint8Array(0)", "1", ""),
    ] {
        let create = format!("CREATE OR REPLACE FUNCTION f(x DOUBLE) RETURNS {data_type} LANGUAGE JS AS '{text}'");
        assert_eq!(rows(&context, &[&create, &format!("SELECT f({value})")]).await, [result], "{data_type}: {text}");
        // A column, with NULLs in it, over several batches.
        let query = format!(
            "SELECT count(y), count(DISTINCT y) FROM \
             (SELECT f(CASE WHEN value % 3 > 0 THEN {value} END) AS y FROM generate_series(1, 30000) AS t(value))"
        );
        assert_eq!(rows(&context, &[&query]).await, ["20000,1"], "{data_type}: {text}");
    }
    for (data_type, text) in
        [("BIGINT[]", "x => [x]"), ("DOUBLE[]", "x => 1"), ("BYTEA", "x => [1]"), ("REAL[3]", "x => [1]")]
    {
        let create = format!("CREATE OR REPLACE FUNCTION f(x DOUBLE) RETURNS {data_type} LANGUAGE JS AS '{text}'");
        let told = match sql(&context, &create).await {
            Ok(_) => error(&context, &["SELECT f(1)"]).await,
            Err(error) => error,
        };
        assert!(told.to_string().contains("JavaScript function f: "), "{data_type}: {told}");
    }
}

#[tokio::test]
async fn null_gives_null_without_a_call() {
    let context = session();
    for clause in ["", "STRICT", "RETURNS NULL ON NULL INPUT"] {
        let create = format!(
            "CREATE OR REPLACE FUNCTION f(x DOUBLE, y DOUBLE) RETURNS DOUBLE LANGUAGE JS {clause} AS '(n => (x, y) => ++n)(0) // {clause}'"
        );
        let query = "SELECT sum(f(CASE WHEN value <> 2 THEN value END, CASE WHEN value <> 3 THEN value END)) \
                     FROM generate_series(1, 5) AS t(value)";
        assert_eq!(
            rows(&context, &[&create, "SELECT f(1, NULL), f(NULL, 1), f(NULL, NULL)"]).await,
            [",,"],
            "{clause}"
        );
        assert_eq!(rows(&context, &[&create, query]).await, ["6.0"], "{clause}");
    }
}

#[tokio::test]
async fn called_on_null_input_gets_null() {
    let context = session();
    let create = "CREATE FUNCTION f(x DOUBLE, y VARCHAR) RETURNS VARCHAR LANGUAGE JS CALLED ON NULL INPUT AS 'return `${x} ${y}`'";
    let query = "SELECT f(1, 'a'), f(NULL, 'a'), f(1, NULL), f(NULL, NULL)";
    assert_eq!(rows(&context, &[create, query]).await, ["1 a,null a,1 null,null null"]);
    let null = "CREATE OR REPLACE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS CALLED ON NULL INPUT AS 'x => null'";
    assert_eq!(rows(&context, &[null, "SELECT f(1), f(NULL)"]).await, [","]);
}

#[tokio::test]
async fn a_default_value_stands_for_null() {
    let context = session();
    let create = "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS '(x = 41) => x + 1'";
    assert_eq!(rows(&context, &[create, "SELECT f(1), f(NULL)"]).await, ["2.0,42.0"]);
}

#[tokio::test]
async fn types_that_are_not_taken_are_named() {
    let context = session();
    for (data_type, told) in [
        ("DECIMAL(10, 2)", "Decimal128(10, 2)"),
        ("INTERVAL", "Interval"),
        ("TIME", "Time64"),
        ("VARCHAR[]", "List(Utf8View)"),
    ] {
        let create = format!("CREATE FUNCTION f(x {data_type}) RETURNS DOUBLE LANGUAGE JS AS 'x => 1'");
        let error = error(&context, &[&create]).await.to_string();
        assert!(error.contains("JavaScript function f: argument 1 has the type ") && error.contains(told), "{error}");
    }
}
