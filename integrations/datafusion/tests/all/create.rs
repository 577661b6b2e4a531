//! `CREATE FUNCTION` and `DROP FUNCTION`: what they take, and what they refuse.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::execution::SessionState;
use datafusion::execution::context::{FunctionFactory, RegisterFunction};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::CreateFunction;
use datafusion::prelude::SessionContext;
use offheap_datafusion::{Error, JavaScript, sql};

use crate::{error, rows, session};

#[tokio::test]
async fn a_function_or_the_body_of_one() {
    let context = session();
    for text in [
        "'x => x * 2 + 1'",
        "'function (x) { return x * 2 + 1 }'",
        "$$ return x * 2 + 1 $$",
        "$$ function twice(y) { return y * 2 } return twice(x) + 1 $$",
        "$js$ const unused = '$$'; return x * 2 + 1 $js$",
        "'x => x * 2 + ''1''.length'",
    ] {
        let create = format!("CREATE OR REPLACE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT AS {text}");
        assert_eq!(rows(&context, &[&create, "SELECT f(20.5)"]).await, ["42.0"], "{text}");
    }
}

#[tokio::test]
async fn both_names_of_the_language_through_either_function() {
    let context = session();
    for language in ["javascript", "JS", "JavaScript", "\"js\""] {
        let create = format!("CREATE OR REPLACE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE {language} AS 'x => x'");
        sql(&context, &create).await.unwrap();
        context.sql(&create).await.unwrap();
    }
    let python = "CREATE FUNCTION g(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'x => x'";
    let refused = error(&context, &[python]).await.to_string();
    assert!(refused.contains("LANGUAGE PYTHON is not known, only JAVASCRIPT"), "{refused}");
    let none = error(&context, &["CREATE FUNCTION g(x DOUBLE) RETURNS DOUBLE AS 'x => x'"]).await.to_string();
    assert!(none.contains("CREATE FUNCTION g: say LANGUAGE JAVASCRIPT"), "{none}");
}

#[tokio::test]
async fn only_or_replace_replaces() {
    let context = session();
    let create = |more: &str, text: &str| {
        format!("CREATE {more} FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS IMMUTABLE AS '{text}'")
    };
    assert_eq!(rows(&context, &[&create("", "x => 1"), "SELECT f(0)"]).await, ["1.0"]);
    let exists = error(&context, &[&create("", "x => 2")]).await.to_string();
    assert!(exists.contains("a function of this name exists; say CREATE OR REPLACE FUNCTION"), "{exists}");
    assert_eq!(rows(&context, &["SELECT f(0)"]).await, ["1.0"]);
    assert_eq!(rows(&context, &[&create("OR REPLACE", "x => 2"), "SELECT f(0)"]).await, ["2.0"]);
    // A mistake in the new text leaves the old function.
    error(&context, &[&create("OR REPLACE", "x =>")]).await;
    assert_eq!(rows(&context, &["SELECT f(0)"]).await, ["2.0"]);
    let another = "CREATE OR REPLACE FUNCTION sum(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'x => 1'";
    let refused = error(&context, &[another]).await.to_string();
    assert!(
        refused.contains("a function of another kind has this name; choose another name, or drop that function first"),
        "{refused}"
    );
}

#[tokio::test]
async fn drop_removes_it() {
    let context = session();
    let create = "CREATE FUNCTION Twice(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'x => x * 2'";
    assert_eq!(rows(&context, &[create, "SELECT TWICE(21)"]).await, ["42.0"]);
    let gone = error(&context, &["DROP FUNCTION Twice", "SELECT twice(21)"]).await.to_string();
    assert!(gone.contains("Invalid function 'twice'"), "{gone}");
    error(&context, &["DROP FUNCTION Twice"]).await;
    rows(&context, &["DROP FUNCTION IF EXISTS Twice", create]).await;
    let several = error(&context, &["DROP FUNCTION twice, abs"]).await.to_string();
    assert!(several.contains("drop one after the other"), "{several}");
}

#[tokio::test]
async fn drop_leaves_what_is_built_in() {
    let context = session();
    for name in ["abs", "ABS", "\"abs\"", "sum", "row_number", "generate_series", "string_agg", "array_length"] {
        let told = error(&context, &[&format!("DROP FUNCTION {name}")]).await.to_string();
        assert!(told.contains("is a function of DataFusion, which stays"), "{name}: {told}");
        error(&context, &[&format!("DROP FUNCTION IF EXISTS {name}")]).await;
    }
    assert_eq!(rows(&context, &["SELECT abs(-1), sum(value) FROM generate_series(1, 3) AS t(value)"]).await, ["1,6"]);
    // One that the program has registered, and one that has replaced what was built in, are dropped.
    let types = [DataType::Float64];
    context.register_udf(offheap_datafusion::udf("twice", "x => x * 2", &types, DataType::Float64).unwrap());
    let abs = "CREATE OR REPLACE FUNCTION abs(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'x => 7'";
    assert_eq!(rows(&context, &[abs, "SELECT abs(-1), twice(4)"]).await, ["7.0,8.0"]);
    rows(&context, &["DROP FUNCTION abs", "DROP FUNCTION twice"]).await;
}

#[tokio::test]
async fn a_name_in_quotes_keeps_its_case() {
    let context = session();
    let create = r#"CREATE FUNCTION "Twice"("X" DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'return X * 2'"#;
    assert_eq!(rows(&context, &[create, r#"SELECT "Twice"(21)"#]).await, ["42.0"]);
    error(&context, &["SELECT Twice(21)"]).await;
    assert!(rows(&context, &[r#"DROP FUNCTION "Twice""#]).await.is_empty());
}

#[tokio::test]
async fn mistakes_in_the_text_are_told_with_their_place() {
    let context = session();
    for (text, told) in [
        ("$$ x => $$", "SyntaxError"),
        ("$$\n\n  return x +* 2 $$", "(line 3, column 13)"),
        ("$$ 42 $$", "not a function"),
        ("$$ (x, y) => x $$", "2 parameters, and 1 argument"),
        ("$$ () => 1 $$", "0 parameters, and 1 argument"),
        ("$$ (() => { throw new RangeError('at once') })() $$", "RangeError: at once"),
    ] {
        let create = format!("CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS {text}");
        let error = error(&context, &[&create]).await;
        assert!(matches!(find(&error), Some(Error::Function(_))), "{text}: {error:?}");
        let message = error.to_string();
        assert!(message.contains("JavaScript function f: ") && message.contains(told), "{text}: {message}");
    }
}

fn find(error: &DataFusionError) -> Option<&Error> {
    match error.find_root() {
        DataFusionError::External(error) => error.downcast_ref(),
        _ => None,
    }
}

#[tokio::test]
async fn what_is_not_supported_is_refused() {
    let context = session();
    for (statement, told) in [
        ("f(x DOUBLE) LANGUAGE JS AS 'x => x'", "RETURNS is missing"),
        ("f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS", "AS is missing"),
        ("f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS ' '", "the text after AS is empty"),
        ("f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS RETURN 42", "must be a string"),
        ("f(x DOUBLE DEFAULT 1) RETURNS DOUBLE LANGUAGE JS AS 'x => x'", "DEFAULT of a parameter is not supported"),
        ("f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS PARALLEL SAFE AS 'x => x'", "PARALLEL is not supported"),
        ("f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS SECURITY DEFINER AS 'x => x'", "SECURITY is not supported"),
        ("f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'x => x', 'y'", "a second string after AS"),
        ("f(OUT x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'x => x'", "parameters of a JavaScript function are IN only"),
        ("f(x INTERVAL) RETURNS DOUBLE LANGUAGE JS AS 'x => x'", "Interval"),
        ("f(x DOUBLE) RETURNS DECIMAL(10, 2) LANGUAGE JS AS 'x => x'", "Decimal128(10, 2)"),
        ("upper(x VARCHAR) RETURNS VARCHAR LANGUAGE JS AS 'x => x'", "a function of this name exists"),
    ] {
        let error = error(&context, &[&format!("CREATE FUNCTION {statement}")]).await.to_string();
        assert!(error.contains(told), "{statement}: {error}");
    }
}

#[tokio::test]
async fn a_session_without_javascript_says_so() {
    let context = SessionContext::new();
    let create = "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'x => x'";
    let error = error(&context, &[create]).await.to_string();
    assert!(
        error.contains("this SessionContext has no JavaScript: make its SessionState with JavaScript::install"),
        "{error}"
    );
    assert_eq!(rows(&context, &["SELECT 6 * 7"]).await, ["42"]);
}

#[tokio::test]
async fn a_function_made_in_rust() {
    let context = session();
    let hypot = offheap_datafusion::udf("hypot", "Math.hypot", &[], DataType::Float64).unwrap_err();
    assert!(hypot.to_string().contains("2 parameters, and 0 arguments"), "{hypot}");
    let types = [DataType::Float64, DataType::Float64];
    context.register_udf(offheap_datafusion::udf("hypot", "Math.hypot", &types, DataType::Float64).unwrap());
    assert_eq!(rows(&context, &["SELECT hypot(3, 4)"]).await, ["5.0"]);
}

/// A factory for another language.
#[derive(Debug)]
struct Other;

#[async_trait::async_trait]
impl FunctionFactory for Other {
    async fn create(&self, _state: &SessionState, statement: CreateFunction) -> Result<RegisterFunction> {
        plan_err!("the other factory makes {}", statement.name)
    }
}

#[tokio::test]
async fn a_factory_that_was_there_makes_functions_in_other_languages() {
    let builder = SessionStateBuilder::new().with_default_features().with_function_factory(Some(Arc::new(Other)));
    let context = SessionContext::new_with_state(JavaScript::install(builder).build());
    let other = "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'x'";
    let told = error(&context, &[other]).await.to_string();
    assert!(told.contains("the other factory makes f"), "{told}");
    let ours = "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'x => x'";
    assert_eq!(rows(&context, &[ours, "SELECT f(7)"]).await, ["7.0"]);
}
