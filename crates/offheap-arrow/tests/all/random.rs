//! Random batches of every type, with random NULLs, at every offset, against Rust.

use std::sync::Arc;

use fastrand::Rng;
use offheap_arrow::ScalarFunction;
use offheap_arrow::arrow_array::builder::{FixedSizeListBuilder, Int16Builder, ListBuilder};
use offheap_arrow::arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, DictionaryArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeBinaryArray, LargeStringArray,
    StringArray, StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt8Array, UInt16Array, UInt32Array, types::Int8Type,
};
use offheap_arrow::arrow_schema::DataType;

use crate::kit::in_v8;

/// The number of batches of all types together. CI runs ten times as many.
fn batch_count() -> usize {
    std::env::var("OFFHEAP_ARROW_BATCHES").map_or(10_000, |count| count.parse().expect("a number"))
}

/// The number of calls of [`check`] below.
const CHECKS: usize = 33;

const ROW_COUNTS: [usize; 6] = [0, 1, 7, 8, 9, 8192];

fn row_count(rng: &mut Rng) -> usize {
    match rng.usize(..100) {
        0 => 8192,
        1..40 => ROW_COUNTS[rng.usize(..5)],
        _ => rng.usize(..70),
    }
}

fn options<T>(rng: &mut Rng, count: usize, mut value: impl FnMut(&mut Rng) -> T) -> Vec<Option<T>> {
    let nulls = [0.0, 0.1, 0.9, 1.0][rng.usize(..4)];
    (0..count).map(|_| (rng.f64() >= nulls).then(|| value(rng))).collect()
}

/// Calls `(x, keep) => keep ? text(x) : null` for random slices of columns that `column` makes, and compares each result with the
/// column that `expected` makes of the same values.
fn check<T: Clone>(
    value: impl Fn(&mut Rng) -> T,
    column: impl Fn(Vec<Option<T>>) -> ArrayRef,
    text: &str,
    expected: impl Fn(Vec<Option<T>>) -> ArrayRef,
) {
    let types = [column(Vec::new()).data_type().clone(), DataType::Boolean];
    let result = expected(Vec::new()).data_type().clone();
    let seed = std::env::var("OFFHEAP_SEED").map_or(7, |seed| seed.parse().expect("a number"));
    in_v8(|scope| {
        let text = format!("(x, keep) => keep ? ({text})(x) : null");
        let function = ScalarFunction::compile(scope, "f", &text, &types, result).unwrap();
        let mut rng = Rng::with_seed(seed);
        for batch in 0..batch_count() / CHECKS {
            let (row_count, offsets) = (row_count(&mut rng), [rng.usize(..66), rng.usize(..66)]);
            let values = options(&mut rng, offsets[0] + row_count + 3, &value);
            let keep = options(&mut rng, offsets[1] + row_count + 3, Rng::bool);
            let columns = [
                column(values.clone()).slice(offsets[0], row_count),
                (Arc::new(BooleanArray::from(keep.clone())) as ArrayRef).slice(offsets[1], row_count),
            ];
            let kept = (0..row_count).map(|row| match keep[offsets[1] + row] {
                Some(true) => values[offsets[0] + row].clone(),
                _ => None,
            });
            let expected = expected(kept.collect());
            let given = function.call(scope, &columns, row_count).unwrap();
            assert_eq!(*given, *expected, "{} of batch {batch}, seed {seed}", types[0]);
            given.to_data().validate_full().unwrap();
        }
        assert_eq!(function.copied_bytes(), 0, "{}", types[0]);
    });
}

/// Checks a type by a function that returns what it is given.
fn comes_and_goes<T: Clone>(value: impl Fn(&mut Rng) -> T, column: impl Fn(Vec<Option<T>>) -> ArrayRef + Copy) {
    check(value, column, "x => x", column);
}

macro_rules! array {
    ($array:ty) => {
        |values| Arc::new(<$array>::from(values)) as ArrayRef
    };
}

#[test]
fn numbers_and_booleans() {
    comes_and_goes(Rng::bool, array!(BooleanArray));
    comes_and_goes(|rng| rng.i8(..), array!(Int8Array));
    comes_and_goes(|rng| rng.u8(..), array!(UInt8Array));
    comes_and_goes(|rng| rng.i16(..), array!(Int16Array));
    comes_and_goes(|rng| rng.u16(..), array!(UInt16Array));
    comes_and_goes(|rng| rng.i32(..), array!(Int32Array));
    comes_and_goes(|rng| rng.u32(..), array!(UInt32Array));
    comes_and_goes(|rng| rng.f32() * 1e9 - 5e8, array!(Float32Array));
    comes_and_goes(|rng| f64::from_bits(rng.u64(..) & !(1 << 62)), array!(Float64Array));
    // Most are exact as Numbers, in some batches all.
    comes_and_goes(|rng| rng.i64(..) >> rng.u32(8..64), array!(Int64Array));
    comes_and_goes(|rng| rng.i64(..) >> rng.u32(11..64), array!(Int64Array));
    let double = |values: Vec<Option<f64>>| {
        let values = values.into_iter().map(|value| value.map(|value| value * 2.0 + 1.0));
        Arc::new(values.collect::<Float64Array>()) as ArrayRef
    };
    check(|rng| rng.f64(), array!(Float64Array), "x => x * 2 + 1", double);
}

#[test]
fn times() {
    comes_and_goes(|rng| rng.i32(..), array!(Date32Array));
    comes_and_goes(|rng| rng.i64(..) >> 11, array!(Date64Array));
    comes_and_goes(|rng| rng.i64(..) >> 22, array!(TimestampSecondArray));
    comes_and_goes(|rng| rng.i64(..) >> 11, array!(TimestampMillisecondArray));
    comes_and_goes(|rng| rng.i64(..) >> 12, array!(TimestampMicrosecondArray));
    // Whole milliseconds are exact in every unit.
    comes_and_goes(|rng| (rng.i64(..) >> 22) * 1_000_000, array!(TimestampNanosecondArray));
}

/// Strings of few characters, mostly ASCII. In half of the batches all are.
fn text(rng: &mut Rng) -> String {
    let length = if rng.u8(..20) == 0 { rng.usize(..100) } else { rng.usize(..20) };
    let wide =
        ['ä', '\u{feff}', '日', '🦀', '\u{ffff}', '\u{10ffff}', '\0', '\u{80}', '\u{7ff}', '\u{800}', '\u{fffd}'];
    let is_ascii = rng.u8(..20) != 0;
    (0..length).map(|_| if is_ascii || rng.bool() { rng.char('\0'..'\u{7f}') } else { wide[rng.usize(..11)] }).collect()
}

#[test]
fn strings() {
    let plain = |rng: &mut Rng| text(rng).replace(|c: char| !c.is_ascii(), "");
    comes_and_goes(text, array!(StringArray));
    comes_and_goes(plain, array!(StringArray));
    comes_and_goes(text, array!(LargeStringArray));
    comes_and_goes(text, array!(StringViewArray));
    comes_and_goes(plain, array!(StringViewArray));
    let dictionary = |values: Vec<Option<String>>| {
        // A key has 8 bits.
        let short =
            values.iter().map(|value| value.as_deref().map(|text| if text.len() % 2 == 0 { "even" } else { "odd" }));
        Arc::new(short.collect::<DictionaryArray<Int8Type>>()) as ArrayRef
    };
    let short = |values: Vec<Option<String>>| {
        let short =
            values.iter().map(|value| value.as_deref().map(|text| if text.len() % 2 == 0 { "even" } else { "odd" }));
        Arc::new(short.collect::<StringArray>()) as ArrayRef
    };
    check(text, dictionary, "x => x", short);
}

/// The items of a row as a string, as script joins them.
fn joined<T: ToString>(values: Vec<Option<Vec<T>>>) -> ArrayRef {
    let rows =
        values.iter().map(|row| row.as_ref().map(|row| row.iter().map(T::to_string).collect::<Vec<_>>().join(",")));
    Arc::new(rows.collect::<StringArray>())
}

#[test]
fn bytes_and_lists() {
    let bytes = |rng: &mut Rng| (0..rng.usize(..20)).map(|_| rng.u8(..)).collect::<Vec<u8>>();
    macro_rules! bytes_of {
        ($array:ty) => {
            |values: Vec<Option<Vec<u8>>>| Arc::new(values.iter().map(Option::as_deref).collect::<$array>()) as ArrayRef
        };
    }
    check(bytes, bytes_of!(BinaryArray), "x => x.join()", joined);
    check(bytes, bytes_of!(LargeBinaryArray), "x => x.join()", joined);
    check(bytes, bytes_of!(BinaryViewArray), "x => x.join()", joined);
    let list = |values: Vec<Option<Vec<i16>>>| {
        let mut list = ListBuilder::new(Int16Builder::new());
        for row in values {
            row.iter().flatten().for_each(|item| list.values().append_value(*item));
            list.append(row.is_some());
        }
        Arc::new(list.finish()) as ArrayRef
    };
    check(|rng| (0..rng.usize(..9)).map(|_| rng.i16(..)).collect::<Vec<_>>(), list, "x => x.join()", joined);
    comes_and_goes(bytes, bytes_of!(BinaryArray));
    comes_and_goes(bytes, bytes_of!(LargeBinaryArray));
    comes_and_goes(bytes, bytes_of!(BinaryViewArray));
    comes_and_goes(|rng| (0..rng.usize(..9)).map(|_| rng.i16(..)).collect::<Vec<_>>(), list);
}

#[test]
fn lists_of_one_length() {
    let fixed = |values: Vec<Option<Vec<i16>>>| {
        let mut list = FixedSizeListBuilder::new(Int16Builder::new(), 3);
        for row in values {
            (0..3).for_each(|item| list.values().append_option(row.as_ref().map(|row| row[item])));
            list.append(row.is_some());
        }
        Arc::new(list.finish()) as ArrayRef
    };
    let value = |rng: &mut Rng| (0..3).map(|_| rng.i16(..)).collect::<Vec<_>>();
    check(value, fixed, "x => x.join()", joined);
}
