//! Scalar functions in queries.

use datafusion::prelude::SessionConfig;

use crate::{error, rows, session, session_with};

const F: &str = "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT IMMUTABLE AS 'x => x * 2 + 1'";
const NUMBERS: &str = "CREATE TABLE numbers AS SELECT value AS i, CASE WHEN value % 7 = 0 THEN NULL ELSE value * 0.25 END AS x \
                       FROM generate_series(0, 49999) AS t(value)";

#[tokio::test]
async fn select_where_group_by_and_subqueries() {
    let context = session();
    rows(&context, &[F, NUMBERS]).await;
    for query in [
        "SELECT sum(f(x)), count(f(x)) FROM numbers",
        "SELECT i, f(x) FROM numbers WHERE f(x) BETWEEN 100 AND 103 ORDER BY i",
        "SELECT i % 3 AS g, sum(f(x) + f(i)) FROM numbers GROUP BY g ORDER BY g",
        "SELECT count(*) FROM numbers WHERE x < (SELECT avg(f(x)) FROM numbers)",
        "SELECT count(*) FROM numbers AS a JOIN numbers AS b ON f(a.x) = f(b.x)",
        "SELECT f(f(x)) FROM numbers ORDER BY f(x) DESC NULLS LAST LIMIT 5",
        "SELECT f(1), f(NULL), f(2.5)",
    ] {
        assert_eq!(rows(&context, &[query]).await, rows(&context, &[&replaced(query)]).await, "{query}");
    }
}

/// The query with SQL's own expression for the function.
fn replaced(query: &str) -> String {
    match query.find("f(") {
        Some(at) if !query[..at].ends_with(|before: char| before.is_alphanumeric()) => {
            let inner = &query[at + 2..];
            let mut depth = 1;
            let end = inner.find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            let (argument, rest) = inner.split_at(end.unwrap());
            format!("{}(CAST({} AS DOUBLE) * 2.0 + 1.0){}", &query[..at], replaced(argument), replaced(&rest[1..]))
        }
        _ => query.to_owned(),
    }
}

#[tokio::test]
async fn one_two_and_eight_partitions_give_one_result() {
    let query =
        "SELECT i % 10 AS g, count(f(x)), min(f(x)), max(f(x)) FROM numbers WHERE f(i) > 50 GROUP BY g ORDER BY g";
    let mut results = Vec::new();
    for partitions in [1, 2, 8] {
        let context = session_with(SessionConfig::new().with_target_partitions(partitions).with_batch_size(1000));
        results.push(rows(&context, &[F, NUMBERS, query]).await);
    }
    assert_eq!(results[0].len(), 10);
    assert_eq!(results[1], results[0]);
    assert_eq!(results[2], results[0]);
}

#[tokio::test]
async fn a_volatile_function_is_called_for_each_row() {
    let context = session();
    let create = |volatility: &str| {
        format!("CREATE OR REPLACE FUNCTION n() RETURNS DOUBLE LANGUAGE JS {volatility} AS '(n => () => ++n)(0)'")
    };
    for volatility in ["", "VOLATILE"] {
        let query = "SELECT count(DISTINCT n()) FROM generate_series(1, 100) AS t(value)";
        assert_eq!(rows(&context, &[&create(volatility), query]).await, ["100"]);
    }
    for volatility in ["IMMUTABLE", "STABLE"] {
        let query = "SELECT count(DISTINCT c) FROM (SELECT n() AS c FROM generate_series(1, 100) AS t(value))";
        assert_eq!(rows(&context, &[&create(volatility), query]).await, ["1"]);
    }
}

#[tokio::test]
async fn arguments_are_cast_where_nothing_is_lost() {
    let context = session();
    rows(&context, &[F, "CREATE FUNCTION i(x INT) RETURNS INT LANGUAGE JS AS 'x => x + 1'"]).await;
    assert_eq!(rows(&context, &["SELECT f(1), f(CAST(1.5 AS DECIMAL(3, 1))), i(1)"]).await, ["3.0,4.0,2"]);
    for (query, told) in [
        ("SELECT f('1')", "argument 1 has the type Utf8, which is not taken for Float64"),
        ("SELECT i(1.5)", "argument 1 has the type Float64, which is not taken for Int32"),
        ("SELECT f()", "it has 1 parameter, and is called with 0 arguments"),
        ("SELECT f(1, 2)", "it has 1 parameter, and is called with 2 arguments"),
        ("SELECT i(3000000000)", "Can't cast value 3000000000 to type Int32"),
    ] {
        let error = error(&context, &[query]).await.to_string();
        assert!(error.contains(told), "{query}: {error}");
    }
}

#[tokio::test]
async fn what_script_throws_names_function_place_and_row() {
    let context = session();
    let create = "CREATE FUNCTION g(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS $$
        if (x > 10) throw new RangeError('too large: ' + x)
        return x $$";
    let query = "SELECT g(value * 1.5) FROM generate_series(0, 9) AS t(value)";
    let error = error(&context, &[create, query]).await.to_string();
    for told in ["JavaScript function g: ", "RangeError: too large: 10.5", "(line 2, column 21)", "row 7"] {
        assert!(error.contains(told), "{told}: {error}");
    }
}
