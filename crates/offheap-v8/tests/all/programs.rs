//! The example programs that read files, as a user runs them, on files that the tests make.

use std::fs;
use std::process::Command;

/// Runs `csv_workers` on a file with this text. Returns whether it succeeded, and what it printed.
fn csv_workers(name: &str, text: &str) -> (bool, String) {
    let path = std::env::temp_dir().join(format!("offheap-v8-programs-{name}-{}.csv", std::process::id()));
    fs::write(&path, text).unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--package", "offheap-v8", "--example", "csv_workers", "--"]).arg(&path);
    let output = command.output().unwrap();
    fs::remove_file(&path).unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn csv_workers_sums_each_column() {
    let rows: String = (0..5000).map(|row| format!("{row},-{}.25,{}e\n", row % 7, row % 3).replace('e', "")).collect();
    let (succeeded, printed) = csv_workers("columns", &format!("index,below,small\n{rows}"));
    assert!(succeeded, "{printed}");
    let mut lines = printed.lines();
    let counts: Vec<usize> = lines.next().unwrap().split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(counts.iter().sum::<usize>() == 5000 && counts.iter().all(|&count| count > 2000), "{printed}");
    let below = (0..5000).map(|row| f64::from(row % 7) + 0.25).sum::<f64>();
    let small = (0..5000).map(|row| row % 3).sum::<u32>();
    for (name, sum) in [("index", "12497500"), ("below", &format!("-{below}")), ("small", &small.to_string())] {
        assert_eq!(lines.next(), Some(&*format!("{name}: the sum is {sum}, in Rust {sum}")));
    }
}

#[test]
fn csv_workers_reads_short_files() {
    for (name, text, expected) in [
        ("none", "a,b\n", "0 and 0 rows\na: the sum is 0, in Rust 0\nb: the sum is 0, in Rust 0\n"),
        ("one", "a\n0.1", "1 and 0 rows\na: the sum is 0.1, in Rust 0.1\n"),
        ("three", "a\n3\n4\n-8\n", "2 and 1 rows\na: the sum is -1, in Rust -1\n"),
    ] {
        assert_eq!(csv_workers(name, text), (true, expected.to_owned()), "{name}");
    }
}

#[test]
fn csv_workers_says_what_is_not_a_number() {
    for (name, text, message) in [
        ("word", "a,b\n1,2\n3,four\n", "SyntaxError: byte 10 is not part of a number"),
        ("empty", "a,b\n1,\n", "SyntaxError: the number before byte 6 has 0 digits"),
        ("digits", "a\n1234567890123456\n", "SyntaxError: the number before byte 18 has 16 digits"),
        ("short", "a,b\n1\n", "SyntaxError: the row at byte 5 does not have 2 columns"),
        ("long", "a,b\n1,2,3\n", "SyntaxError: the row at byte 7 does not have 2 columns"),
    ] {
        let (succeeded, printed) = csv_workers(name, text);
        assert!(!succeeded && printed.contains(message) && printed.contains("parse.js:"), "{name}: {printed}");
    }
}
