//! Aggregate functions in queries.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};
use offheap_datafusion::Error;

use crate::{error, rows, session, session_with};

/// The geometric mean.
const GEOMEAN: &str = "CREATE FUNCTION geomean(x DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT IMMUTABLE AS $$ {
    state: { n: 0, logs: 0 },
    step(st, x) { st.n++; st.logs += Math.log(x) },
    merge(st, other) { st.n += other.n; st.logs += other.logs },
    finish(st) { return st.n === 0 ? null : Math.exp(st.logs / st.n) },
} $$";

/// `sum` of whole numbers, so that no order of additions changes the result.
pub(crate) const TOTAL: &str = "CREATE FUNCTION total(x DOUBLE) RETURNS DOUBLE LANGUAGE JS IMMUTABLE AS $$ {
    state: { n: 0, sum: 0 },
    step(st, x) { st.n++; st.sum += x },
    merge(st, other) { st.n += other.n; st.sum += other.sum },
    finish: st => st.n ? st.sum : null,
} $$";

const NUMBERS: &str = "CREATE TABLE numbers AS SELECT value AS i, CASE WHEN value % 7 > 0 THEN value + 0.0 END AS x \
                       FROM generate_series(0, 49999) AS t(value)";

const QUERIES: [&str; 9] = [
    "SELECT total(x) FROM numbers",
    "SELECT total(x), total(i) FROM numbers WHERE i < 0",
    "SELECT i % 10 AS g, total(x) FROM numbers GROUP BY g ORDER BY g",
    "SELECT i % 10 AS g, total(x) FROM numbers WHERE i % 10 > 20 GROUP BY g ORDER BY g",
    "SELECT i % 7 AS g, total(x) FROM numbers GROUP BY g ORDER BY g",
    "SELECT total(x) FILTER (WHERE i % 2 = 0), total(x) FILTER (WHERE x IS NULL) FROM numbers",
    "SELECT i % 3 AS g, total(x) FILTER (WHERE i % 4 = 0) FROM numbers GROUP BY g ORDER BY g",
    "SELECT total(s), count(*) FROM (SELECT i, total(x) AS s FROM numbers GROUP BY i)",
    "SELECT i, total(x) OVER (ORDER BY i), total(x) OVER (PARTITION BY i % 2) FROM numbers WHERE i < 20 ORDER BY i",
];

#[tokio::test]
async fn one_two_and_eight_partitions_give_what_sum_gives() {
    for partitions in [1, 2, 8] {
        let config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(1000);
        let context = session_with(config);
        rows(&context, &[TOTAL, NUMBERS]).await;
        for query in QUERIES {
            let expected = rows(&context, &[&query.replace("total(", "sum(")]).await;
            assert_eq!(rows(&context, &[query]).await, expected, "{query} with {partitions} partitions");
        }
    }
}

/// With many groups DataFusion turns rows into states, without the first step.
#[tokio::test]
async fn rows_turn_into_states() {
    let config = SessionConfig::new().with_target_partitions(4).with_batch_size(500);
    let context = session_with(config);
    let settings = "SET datafusion.execution.skip_partial_aggregation_probe_rows_threshold = 100";
    rows(&context, &[TOTAL, NUMBERS, settings]).await;
    for query in [
        "SELECT i / 2 AS g, total(x), total(x) FILTER (WHERE i % 3 = 0) FROM numbers GROUP BY g ORDER BY g",
        "SELECT sum(s), count(s) FROM (SELECT i, total(x) AS s FROM numbers GROUP BY i)",
    ] {
        assert_eq!(
            rows(&context, &[query]).await,
            rows(&context, &[&query.replace("total(", "sum(")]).await,
            "{query}"
        );
    }
}

#[tokio::test]
async fn the_geometric_mean() {
    let context = session();
    let query = "SELECT i % 5 AS g, round(geomean(x), 6) FROM numbers WHERE x > 0 GROUP BY g ORDER BY g";
    let same = "SELECT i % 5 AS g, round(exp(avg(ln(x))), 6) FROM numbers WHERE x > 0 GROUP BY g ORDER BY g";
    assert_eq!(rows(&context, &[GEOMEAN, NUMBERS, query]).await, rows(&context, &[same]).await);
}

#[tokio::test]
async fn a_state_may_have_arrays_and_results_other_types() {
    let context = session();
    let create = "CREATE FUNCTION histogram(x DOUBLE, name VARCHAR) RETURNS VARCHAR LANGUAGE JS AS $$ {
        state: { bins: new Float64Array(4), longest: 0 },
        step(st, x, name) { st.bins[x % 4]++; st.longest = Math.max(st.longest, name.length) },
        merge(st, other) {
            for (let k = 0; k < 4; k++) st.bins[k] += other.bins[k]
            st.longest = Math.max(st.longest, other.longest)
        },
        finish(st) { return `${st.bins.join(' ')} ${st.longest}` },
    } $$";
    let query = "SELECT i % 2 AS g, histogram(i, repeat('a', CAST(i % 9 AS INT))) FROM numbers WHERE i < 1000 GROUP BY g ORDER BY g";
    assert_eq!(rows(&context, &[create, NUMBERS, query]).await, ["0,250 0 250 0 8", "1,0 250 0 250 8"]);
    let all = "SELECT histogram(i, 'abc') FROM numbers WHERE i < 1000";
    assert_eq!(rows(&context, &[all]).await, ["250 250 250 250 3"]);
}

#[tokio::test]
async fn mistakes_in_an_aggregate_are_told_by_create() {
    let context = session();
    let object = |members: &str| format!("{{ {members} }}");
    for (text, told) in [
        (object(""), "`step` is undefined, not a function"),
        (object("state: { n: 0 }, step(st) {}, merge(st, o) {}, finish(st) {}"), "`step` is a function of 1 parameter"),
        (
            object("state: { n: 0 }, step(st, x) {}, merge(st) {}, finish(st) {}"),
            "`merge` is a function of 1 parameter",
        ),
        (
            object("state: { n: '0' }, step(st, x) {}, merge(st, o) {}, finish(st) {}"),
            "`state.n` is \"0\", not a number",
        ),
        (object("state: {}, step(st, x) {}, merge(st, o) {}, finish(st) {}"), "`state` is an object without fields"),
        (object("state: { n: 0 }, step(st, x) { st. }"), "SyntaxError"),
        ("42".into(), "its text is 42, not a function"),
    ] {
        let create = format!("CREATE FUNCTION a(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS $$ {text} $$");
        let error = error(&context, &[&create]).await.to_string();
        assert!(error.contains("JavaScript function a: ") && error.contains(told), "{text}: {error}");
    }
    let text = object("state: { n: 0 }, step(st) {}, merge(st, o) {}, finish(st) {}");
    let none = format!("CREATE FUNCTION a() RETURNS DOUBLE LANGUAGE JS AS $$ {text} $$");
    let none = error(&context, &[&none]).await.to_string();
    assert!(none.contains("an aggregate needs a parameter"), "{none}");
    let called = TOTAL.replace("IMMUTABLE", "CALLED ON NULL INPUT");
    let called = error(&context, &[&called]).await.to_string();
    assert!(called.contains("CALLED ON NULL INPUT of an aggregate"), "{called}");
}

#[tokio::test]
async fn what_goes_wrong_in_a_query_is_an_error() {
    let context = session();
    rows(&context, &[NUMBERS, "SET js.time_limit_ms = 500"]).await;
    let aggregate = |step: &str, merge: &str, finish: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION a(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS $$ {{ state: {{ n: 0 }},
             step(st, x) {{ {step} }}, merge(st, other) {{ {merge} }}, finish(st) {{ {finish} }} }} $$"
        )
    };
    for (create, told) in [
        (aggregate("throw new RangeError('in step')", "", "return 1"), "RangeError: in step"),
        (aggregate("", "throw new RangeError('in merge')", "return 1"), "RangeError: in merge"),
        (aggregate("", "", "throw new RangeError('in finish')"), "RangeError: in finish"),
        (aggregate("st.n = 'a'", "", "return 1"), "a number"),
        (aggregate("", "", "return 'a'"), "which is no Float64"),
        (aggregate("for (;;);", "", "return 1"), "stopped, since it ran longer than 500 ms"),
        (aggregate("", "", "for (;;);"), "stopped, since it ran longer than 500 ms"),
    ] {
        for query in ["SELECT a(x) FROM numbers", "SELECT i % 3 AS g, a(x) FROM numbers GROUP BY g"] {
            let error = error(&context, &[&create, query]).await.to_string();
            assert!(error.contains("JavaScript function a: ") && error.contains(told), "{create}: {error}");
        }
    }
    for (query, told) in [
        (
            "SELECT total(DISTINCT x), total(DISTINCT i) FROM numbers",
            "DISTINCT; aggregate over a query with SELECT DISTINCT",
        ),
        ("SELECT total(x ORDER BY i) FROM numbers", "ORDER BY in its arguments; leave it out"),
        (
            "SELECT total(x) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM numbers",
            "a window frame that loses rows; begin it with UNBOUNDED PRECEDING",
        ),
        ("SELECT total('a') FROM numbers", "argument 1 has the type Utf8, which is not taken for Float64"),
    ] {
        let error = error(&context, &[&TOTAL.replace("CREATE", "CREATE OR REPLACE"), query]).await.to_string();
        assert!(error.contains("total") && error.contains(told), "{query}: {error}");
    }
}

#[tokio::test]
async fn an_aggregate_made_in_rust() {
    let context = SessionContext::new();
    let text =
        "({ state: { n: 0 }, step(st, x) { st.n += x }, merge(st, other) { st.n += other.n }, finish: st => st.n })";
    let total = offheap_datafusion::udaf("total", text, &[DataType::Int32], DataType::Int64).unwrap();
    context.register_udaf(total);
    assert_eq!(rows(&context, &["SELECT total(value) FROM generate_series(1, 100) AS t(value)"]).await, ["5050"]);
    let error = offheap_datafusion::udaf("f", "x => x", &[DataType::Int32], DataType::Int64).unwrap_err();
    let DataFusionError::External(error) = &error else { panic!("{error}") };
    assert!(matches!(error.downcast_ref(), Some(Error::Function(_))), "{error}");
}
