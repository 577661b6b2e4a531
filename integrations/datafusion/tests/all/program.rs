//! The program `offheap-sql`.

use std::process::Command;

/// What the program prints to both streams, and its status.
fn offheap_sql(arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_offheap-sql")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[test]
fn prints_the_rows_of_each_statement() {
    let create = "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT AS 'x => x * 2 + 1'";
    let (out, err, status) = offheap_sql(&[create, "SELECT f(20.5) AS y", "SELECT 1 WHERE false"]);
    assert_eq!((err.as_str(), status), ("", Some(0)));
    assert!(out.starts_with("+------+\n| y    |\n+------+\n| 42.0 |\n+------+\n"), "{out}");
}

#[test]
fn a_comment_of_sql_is_no_option() {
    for statement in ["-- c\nSELECT 6 * 7 AS y", "--c\nSELECT 6 * 7 AS y", "-- c"] {
        let (out, err, status) = offheap_sql(&[statement]);
        let expected = if statement == "-- c" { Some(1) } else { Some(0) };
        assert_eq!((out.contains("| 42 |"), status), (expected == Some(0), expected), "{statement}: {out}{err}");
        assert!(!err.contains("option"), "{err}");
    }
}

#[test]
fn an_error_ends_it_with_status_1() {
    let (out, err, status) = offheap_sql(&["SELECT 1 AS a", "SELECT nothing", "SELECT 2 AS b"]);
    assert!(out.contains("| a |") && !out.contains("| b |"), "{out}");
    assert!(err.starts_with("offheap-sql: ") && err.contains("nothing"), "{err}");
    assert_eq!(status, Some(1));
}

#[test]
fn mistakes_in_the_arguments_end_it_with_status_2() {
    for (arguments, told) in [
        (&[][..], "there is no statement"),
        (&["--connect", "df://127.0.0.1:1"], "there is no statement"),
        (&["--scheduler"], "--scheduler needs an address"),
        (&["--executor", "127.0.0.1:1", "SELECT 1"], "one argument too many"),
        (&["--verbose", "SELECT 1"], "there is no option --verbose"),
        (&["--connect", "localhost:50050", "SELECT 1"], "--connect needs df://HOST:PORT, and not \"localhost:50050\""),
    ] {
        let (out, err, status) = offheap_sql(arguments);
        assert_eq!((out.as_str(), status), ("", Some(2)), "{arguments:?}");
        assert!(err.contains(told), "{arguments:?}: {err}");
    }
    assert!(offheap_sql(&["--help"]).0.contains("offheap-sql --connect URL STATEMENT..."));
}
