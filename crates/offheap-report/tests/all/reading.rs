//! Lines that cannot be read: each is a sentence with its file and number, and everything else is read.

use std::io::{self, BufRead, BufReader, Read};

use offheap_report::LONGEST_LINE;

use crate::common::{Followed, stream};

const CREATED: &str = r#"{"event":"created","time":5,"store":1,"bytes":64}"#;
const FREED: &str = r#"{"event":"freed","time":9,"store":1}"#;

/// Between two lines that can be read, this line is the only problem.
#[track_caller]
fn assert_problem(line: impl AsRef<[u8]>, expected: &str) {
    let mut text = stream(&[CREATED]).into_bytes();
    text.extend_from_slice(line.as_ref());
    text.push(b'\n');
    text.extend_from_slice(FREED.as_bytes());
    let followed = Followed::of(text);
    assert_eq!(followed.problem(), expected);
    assert_eq!(followed.seen.events, ["start", "created", "freed"], "{expected}");
}

#[test]
fn the_fields_may_come_in_any_order_and_others_are_passed_over() {
    let line = r#" { "bytes": 64, "colour": {"a":[1]}, "store": 1, "process": 7, "time": 5, "event": "created" } "#;
    let followed = Followed::of(stream(&[line]));
    followed.assert_no_problem();
    assert_eq!(followed.store(1).bytes, 64);
}

#[test]
fn empty_lines_are_passed_over_and_lines_may_end_with_a_carriage_return() {
    let followed = Followed::of(stream(&["", "  ", &format!("{CREATED}\r"), "\r"]));
    followed.assert_no_problem();
    assert_eq!(followed.seen.events, ["start", "created"]);
    Followed::of("").assert_no_problem();
    Followed::of("\n\n").assert_no_problem();
}

#[test]
fn a_last_line_without_an_end_is_read_if_it_is_whole() {
    let followed = Followed::of(stream(&[CREATED]).trim_end());
    followed.assert_no_problem();
    assert_eq!(followed.seen.events, ["start", "created"]);
}

#[test]
fn a_cut_last_line_is_named_wherever_it_is_cut() {
    let whole = stream(&[CREATED]);
    let start = whole.find('\n').unwrap() + 1;
    for cut in start + 1..whole.len() - 1 {
        let followed = Followed::of(&whole[..cut]);
        assert_eq!(
            followed.problem(),
            "a.jsonl:2: the file ends in the middle of this line: its process ended before it was written, or still \
             writes; all lines before it are read"
        );
        assert_eq!(followed.seen.events, ["start"]);
    }
}

#[test]
fn what_is_no_line_of_the_format_is_named_with_its_column() {
    assert_problem("{\"event\":", "a.jsonl:3: EOF while parsing a value (column 9); the line is left out");
    for text in ["hello", "<!doctype html>", "[\"end\",null,0]", "42", "\"a\""] {
        let sentence = "this is no JSON object, as every line of a ledger's stream is; the line is left out";
        assert_problem(text, &format!("a.jsonl:3: {sentence}"));
    }
    assert_problem("{nope", "a.jsonl:3: key must be a string (column 2); the line is left out");
    assert_problem("{}", "a.jsonl:3: missing field `event` (column 2); the line is left out");
    assert_problem(
        r#"{"event":"created","time":5,"store":2}"#,
        "a.jsonl:3: missing field `bytes` (column 38); the line is left out",
    );
    assert_problem(
        r#"{"event":"created","time":-5,"store":2,"bytes":1}"#,
        "a.jsonl:3: invalid value: integer `-5`, expected u64 (column 28); the line is left out",
    );
    assert_problem(
        r#"{"event":"created","time":5,"store":2,"bytes":1} {"event":"end","time":6}"#,
        "a.jsonl:3: trailing characters (column 50); the line is left out",
    );
}

#[test]
fn an_unknown_event_is_named() {
    assert_problem(
        r#"{"event":"melted","time":5,"store":1}"#,
        "a.jsonl:3: the event \"melted\" is not one of version 1 of the format; if a newer program wrote it, update \
         offheap; the line is left out",
    );
}

#[test]
fn a_long_text_is_cut_short_in_the_sentence() {
    for long in ["x", "\u{2028}"].map(|part| part.repeat(1_000_000)) {
        let followed = Followed::of(stream(&[&format!(r#"{{"event":"{long}"}}"#)]));
        assert!(followed.problem().len() < 1000);
        let followed = Followed::of(stream(&[&format!(r#"{{"event":"end","time":"{long}"}}"#)]));
        assert!(followed.problem().len() < 1000);
    }
}

#[test]
fn an_absurd_number_is_named() {
    let said = |field: &str, value: &str, most: &str| {
        format!(
            "a.jsonl:3: \"{field}\" is {value}, which is more than any program has: the most is {most}; the line is left out"
        )
    };
    let most = "9007199254740992";
    assert_problem(
        r#"{"event":"created","time":5,"store":2,"bytes":18446744073709551615}"#,
        &said("bytes", "18446744073709551615", most),
    );
    assert_problem(
        r#"{"event":"resized","time":5,"store":1,"bytes":9007199254740993}"#,
        &said("bytes", "9007199254740993", most),
    );
    assert_problem(
        r#"{"event":"freed","time":9223372036854775808,"store":1}"#,
        &said("time", "9223372036854775808", "9223372036854775807"),
    );
    // A page cannot show a date that JavaScript does not have.
    assert_problem(
        r#"{"event":"start","version":1,"process":8,"unix_milliseconds":8640000000000001}"#,
        &said("unix_milliseconds", "8640000000000001", "8640000000000000"),
    );
    assert_problem(
        r#"{"event":"created","time":5,"store":2,"bytes":1,"weight":1e99}"#,
        &said("weight", &format!("1{}", "0".repeat(99)), most),
    );
    assert_problem(
        r#"{"event":"created","time":5,"store":2,"bytes":1e30}"#,
        "a.jsonl:3: invalid type: floating point `1e+30`, expected u64 (column 50); the line is left out",
    );
    assert_problem(
        r#"{"event":"created","time":5,"store":2,"bytes":1e999}"#,
        "a.jsonl:3: number out of range (column 51); the line is left out",
    );
    assert_problem(
        r#"{"event":"created","time":5,"store":2,"bytes":99999999999999999999}"#,
        "a.jsonl:3: invalid type: floating point `1e+20`, expected u64 (column 66); the line is left out",
    );
}

#[test]
fn text_that_is_not_utf_8_is_named() {
    assert_problem(
        b"{\"event\":\"fr\xFFeed\",\"time\":5,\"store\":1}",
        "a.jsonl:3: byte 13 of the line is not UTF-8, and the format is JSON in UTF-8; the line is left out",
    );
}

#[test]
fn deep_nesting_needs_no_room_on_the_stack() {
    let deep = format!(r#"{{"event":"freed","x":{}"#, "[".repeat(100_000));
    assert_problem(deep, "a.jsonl:3: EOF while parsing a list (column 100021); the line is left out");
}

#[test]
fn a_line_of_100_mb_is_named_and_never_kept() {
    let begin = stream(&[CREATED]);
    let long = io::repeat(b'x').take(100_000_000);
    let end = format!("\n{FREED}\n");
    let mut followed = Followed::default();
    followed.read("a.jsonl", BufReader::new(begin.as_bytes().chain(long).chain(end.as_bytes())));
    assert_eq!(
        followed.problem(),
        "a.jsonl:3: the line is longer than 16 MiB, and is left out; is this a stream of a ledger?"
    );
    assert_eq!(followed.seen.events, ["start", "created", "freed"]);
}

#[test]
fn the_longest_line_is_read() {
    let line = format!("{CREATED}{}", " ".repeat(LONGEST_LINE - CREATED.len()));
    Followed::of(stream(&[&line])).assert_no_problem();
    assert!(Followed::of(stream(&[&format!("{line} ")])).problem().contains("longer than 16 MiB"));
}

/// Fails after what is in it, and then again and again.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::Error::other("the disk is gone")),
            read => Ok(read),
        }
    }
}

impl BufRead for Failing<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.is_empty() { Err(io::Error::other("the disk is gone")) } else { Ok(self.0) }
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

#[test]
fn a_file_that_cannot_be_read_further_is_named_once() {
    let mut followed = Followed::default();
    followed.read("a.jsonl", Failing(stream(&[CREATED]).as_bytes()));
    assert_eq!(followed.problem(), "a.jsonl:3: the file cannot be read from here on: the disk is gone");
    assert_eq!(followed.seen.events, ["start", "created"]);
}
