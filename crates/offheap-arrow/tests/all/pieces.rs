//! Batches with strings, over which a function runs in several pieces.

use std::sync::Arc;

use offheap_arrow::arrow_array::types::Int32Type;
use offheap_arrow::arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, LargeStringArray, StringArray, StringViewArray,
};
use offheap_arrow::arrow_schema::DataType;

use crate::kit::{call, doubles, reason};

const ROWS: usize = 10_001;

/// Names of about as many bytes, some of which are NULL.
fn names(byte_length: usize) -> Vec<Option<String>> {
    let name = |row: usize| format!("{row}{}", "x".repeat((row * 7) % (byte_length * 2)));
    (0..ROWS).map(|row| (row % 11 != 5).then(|| name(row))).collect()
}

/// The columns of every layout, which begin behind the begin of their memory.
fn columns(rows: &[Option<String>]) -> [ArrayRef; 4] {
    let all = || [Some("one"), None, Some("three €")].into_iter().chain(rows.iter().map(Option::as_deref));
    let columns: [ArrayRef; 4] = [
        Arc::new(all().collect::<StringArray>()),
        Arc::new(all().collect::<LargeStringArray>()),
        Arc::new(all().collect::<StringViewArray>()),
        Arc::new(all().collect::<DictionaryArray<Int32Type>>()),
    ];
    columns.map(|column| column.slice(3, rows.len()))
}

fn strings<S: AsRef<str>>(rows: impl Iterator<Item = Option<S>>) -> ArrayRef {
    Arc::new(rows.collect::<StringArray>())
}

#[test]
fn each_row_of_each_piece_is_its_own() {
    for byte_length in [2, 16, 40, 300] {
        let rows = names(byte_length);
        for column in columns(&rows) {
            let column = [column];
            let upper = strings(rows.iter().map(|row| row.as_ref().map(|row| row.to_uppercase())));
            assert_eq!(*call("x => x.toUpperCase()", &column, DataType::Utf8).unwrap(), *upper);
            let lengths: Int32Array = rows.iter().map(|row| row.as_ref().map(|row| row.len() as i32)).collect();
            assert_eq!(*call("x => x.length", &column, DataType::Int32).unwrap(), lengths);
        }
    }
}

#[test]
fn columns_of_different_lengths_have_pieces_of_the_same_rows() {
    let rows = [names(3), names(100)];
    let pairs = || rows[0].iter().zip(&rows[1]);
    let expected = strings(pairs().map(|(a, b)| Some(format!("{}|{}", a.as_ref()?, b.as_ref()?))));
    let [short, long] = rows.each_ref().map(|rows| columns(rows));
    for (short, long) in short.into_iter().zip(long.into_iter().rev()) {
        assert_eq!(*call("(a, b) => a + '|' + b", &[short, long], DataType::Utf8).unwrap(), *expected);
    }
}

#[test]
fn text_beyond_ascii_may_begin_in_any_piece() {
    for first in [0, 1, 4095, 4096, 9_999, ROWS - 1] {
        let mut rows = names(16);
        rows[first] = Some("é€😀".to_owned());
        for column in columns(&rows) {
            assert_eq!(*call("x => x", &[column], DataType::Utf8).unwrap(), *strings(rows.iter().map(Option::as_ref)));
        }
        // The column is ASCII, and the results are not.
        let numbers = doubles((0..ROWS).map(|row| row as f64));
        for (text, other) in [("é", "é"), ("€", "€"), ("\\ud83d", "\u{fffd}")] {
            let text = format!("x => x < {first} ? 'r' + x : '{text}'");
            let expected =
                strings((0..ROWS).map(|row| Some(if row < first { format!("r{row}") } else { other.into() })));
            assert_eq!(*call(&text, std::slice::from_ref(&numbers), DataType::Utf8).unwrap(), *expected);
        }
    }
}

#[test]
fn two_halves_of_a_pair_in_two_pieces_are_no_character() {
    let numbers = doubles((0..ROWS).map(|row| row as f64));
    let result = call("x => x % 2 === 1 ? '\\ud83d' : '\\ude00'", &[numbers], DataType::Utf8).unwrap();
    assert_eq!(*result, *strings((0..ROWS).map(|_| Some("\u{fffd}"))));
}

#[test]
fn an_error_names_the_row_of_the_batch() {
    let rows = names(16);
    for (row, column) in [4_096, 9_998].into_iter().flat_map(|row| columns(&rows).map(|column| (row, column))) {
        let column = [column];
        let name = rows[row].as_ref().unwrap();
        let told = reason(&format!("x => {{ if (x === '{name}') throw 'no'; return x }}"), &column, DataType::Utf8);
        assert!(told.ends_with(&format!("in row {row}")), "{told}");
        let told = reason(&format!("x => x === '{name}' ? 1 : x"), &column, DataType::Utf8);
        assert!(told.contains(&format!("it returned 1 (number) for row {row},")), "{told}");
    }
}

#[test]
fn a_function_keeps_what_it_has_from_piece_to_piece() {
    let text = "(() => { let first; return x => (first ??= x) })()";
    let rows = names(100);
    let expected = strings(rows.iter().map(|row| row.as_ref().and(rows[0].as_ref())));
    assert_eq!(*call(text, &[strings(rows.iter().map(Option::as_ref))], DataType::Utf8).unwrap(), *expected);
}
