//! What script sees of each type, and what it may return for it.

use std::sync::Arc;

use offheap_arrow::ScalarFunction;
use offheap_arrow::arrow_array::builder::{FixedSizeListBuilder, Float32Builder, Int32Builder, ListBuilder};
use offheap_arrow::arrow_array::cast::AsArray;
use offheap_arrow::arrow_array::types::{Float32Type, Float64Type, Int8Type, Int32Type};
use offheap_arrow::arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, DictionaryArray,
    FixedSizeListArray, Int32Array, Int64Array, LargeBinaryArray, LargeStringArray, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use offheap_arrow::arrow_schema::{DataType, Field, TimeUnit};

use crate::kit::{call, doubles, in_v8, reason};

fn strings(values: &[Option<&str>]) -> [ArrayRef; 3] {
    [
        Arc::new(StringArray::from(values.to_vec())),
        Arc::new(LargeStringArray::from(values.to_vec())),
        Arc::new(StringViewArray::from(values.to_vec())),
    ]
}

/// What a function tells of each row, as text.
fn told(text: &str, column: &ArrayRef) -> Vec<Option<String>> {
    let result = call(text, std::slice::from_ref(column), DataType::Utf8).unwrap();
    result.as_string::<i32>().iter().map(|row| row.map(str::to_owned)).collect()
}

fn some<const N: usize>(rows: [&str; N]) -> Vec<Option<String>> {
    rows.map(|row| Some(row.to_owned())).to_vec()
}

#[test]
fn strings_come_and_go_in_every_layout() {
    let ascii = [Some("one"), None, Some(""), Some("a string that is longer than a view has place for"), Some("x")];
    let wide =
        [Some("ä"), Some("\u{feff}bom"), None, Some("日本語"), Some("🦀🦀"), Some(""), Some("plain"), Some("\0")];
    for values in [&ascii[..], &wide[..], &[Some("")], &[None]] {
        for column in strings(values) {
            for offset in 0..values.len() {
                let slice = column.slice(offset, values.len() - offset);
                for expected in strings(&values[offset..]) {
                    let result = call("x => x", std::slice::from_ref(&slice), expected.data_type().clone()).unwrap();
                    assert_eq!(*result, *expected);
                }
            }
        }
    }
}

#[test]
fn strings_are_strings_of_utf_16() {
    for column in strings(&[Some("a"), Some("äö"), Some("🦀"), None]) {
        let lengths = call("x => x.length", &[column], DataType::Int32).unwrap();
        assert_eq!(*lengths, *(Arc::new(Int32Array::from(vec![Some(1), Some(2), Some(2), None])) as ArrayRef));
    }
}

#[test]
fn half_of_a_pair_becomes_the_replacement_character() {
    let [column, ..] = strings(&[Some("🦀"), Some("🦀"), Some("ok")]);
    // The halves of two rows are one character if they are put together.
    let result = call("(() => { let i = 0; return x => x[i++] })()", &[column], DataType::Utf8).unwrap();
    assert_eq!(*result, *strings(&[Some("\u{fffd}"), Some("\u{fffd}"), None])[0]);
    let result = call("() => 'a\\ud800b'", &[], DataType::Utf8).unwrap();
    assert_eq!(result.as_string::<i32>().value(0), "a\u{fffd}b");
}

#[test]
fn bigints_are_numbers_where_these_are_exact() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![
        Some(0),
        Some(-1),
        None,
        Some((1 << 53) - 1),
        Some(1 - (1 << 53)),
        Some(1 << 53),
        Some(-(1 << 53)),
        Some(i64::MAX),
        Some(i64::MIN),
    ]));
    let types = told("x => typeof x + x", &column);
    let expected = [
        Some("number0"),
        Some("number-1"),
        None,
        Some("number9007199254740991"),
        Some("number-9007199254740991"),
        Some("bigint9007199254740992"),
        Some("bigint-9007199254740992"),
        Some("bigint9223372036854775807"),
        Some("bigint-9223372036854775808"),
    ];
    assert_eq!(types, expected.map(|row| row.map(str::to_owned)));
    assert_eq!(*call("x => x", std::slice::from_ref(&column), DataType::Int64).unwrap(), *column);
    assert!(reason("x => x * 2", &[column], DataType::Int64).contains("TypeError: Cannot mix BigInt"));
}

#[test]
fn one_bigint_beyond_the_limit_is_enough() {
    for (value, kind) in
        [((1 << 53) - 1, "number"), (1 << 53, "bigint"), (1 - (1 << 53), "number"), (-(1 << 53), "bigint")]
    {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![0, value, 0]));
        assert_eq!(told("x => typeof x", &column), some(["number", kind, "number"]), "{value}");
    }
}

#[test]
fn results_for_bigint_are_exact() {
    let cases =
        ["0.5", "NaN", "Infinity", "9007199254740992", "-9007199254740992", "2n ** 63n", "-(2n ** 63n) - 1n", "'1'"];
    for case in cases {
        let told = reason(&format!("x => x === 2 ? {case} : 1"), &[doubles([1.0, 2.0])], DataType::Int64);
        assert!(told.contains("for row 1, which is no Int64"), "{told}");
    }
    let result =
        call("x => x === 1 ? 2n ** 63n - 1n : x === 2 ? -5 : null", &[doubles([1.0, 2.0, 3.0])], DataType::Int64);
    let expected: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(-5), None]));
    assert_eq!(*result.unwrap(), *expected);
}

#[test]
fn dates_and_times_are_milliseconds() {
    let zone: Arc<str> = "Europe/Vienna".into();
    let columns: [ArrayRef; 6] = [
        Arc::new(Date32Array::from(vec![Some(1), Some(-1), None])),
        Arc::new(Date64Array::from(vec![Some(86_400_000), Some(-86_400_000), None])),
        Arc::new(TimestampSecondArray::from(vec![Some(86_400), Some(-86_400), None])),
        Arc::new(TimestampMillisecondArray::from(vec![Some(86_400_000), Some(-86_400_000), None]).with_timezone(zone)),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(86_400_000_000), Some(-86_400_000_000), None])),
        Arc::new(TimestampNanosecondArray::from(vec![Some(86_400_000_000_000), Some(-86_400_000_000_000), None])),
    ];
    for column in columns {
        assert_eq!(
            *call("x => x", std::slice::from_ref(&column), DataType::Float64).unwrap(),
            *doubles([Some(86.4e6), Some(-86.4e6), None])
        );
        assert_eq!(*call("x => x", std::slice::from_ref(&column), column.data_type().clone()).unwrap(), *column);
        assert_eq!(told("x => new Date(x).toISOString()", &column)[0].as_deref(), Some("1970-01-02T00:00:00.000Z"));
    }
}

#[test]
fn microseconds_come_back_as_they_were() {
    let values = [1_764_389_133_123_457, -1, 1, 999, 1_000_001].map(Some).to_vec();
    let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(values));
    assert_eq!(*call("x => x", std::slice::from_ref(&column), column.data_type().clone()).unwrap(), *column);
}

#[test]
fn results_that_are_no_time_of_their_type() {
    let seconds = DataType::Timestamp(TimeUnit::Second, None);
    let milliseconds = DataType::Timestamp(TimeUnit::Millisecond, None);
    let nanoseconds = DataType::Timestamp(TimeUnit::Nanosecond, None);
    let cases = [
        (DataType::Date32, "1"),
        (DataType::Date32, "86400000 * 2 ** 31"),
        (DataType::Date32, "NaN"),
        (DataType::Date32, "'86400000'"),
        (DataType::Date64, "0.5"),
        (seconds, "1"),
        (milliseconds.clone(), "0.5"),
        (milliseconds.clone(), "NaN"),
        (milliseconds.clone(), "new Date(0)"),
        (milliseconds, "2 ** 63"),
        (nanoseconds, "2 ** 45"),
    ];
    for (data_type, value) in cases {
        let told = reason(&format!("x => x === 2 ? {value} : 0"), &[doubles([1.0, 2.0])], data_type.clone());
        assert!(told.contains(&format!("for row 1, which is no {data_type}; return ")), "{told}");
    }
}

#[test]
fn bytes_are_read_only_arrays_over_the_column() {
    let values: [Option<&[u8]>; 5] =
        [Some(b"\x01\xff"), None, Some(b""), Some(b"a long row of more than 12 bytes"), Some(b"x")];
    let columns: [ArrayRef; 3] = [
        Arc::new(BinaryArray::from(values.to_vec())),
        Arc::new(LargeBinaryArray::from(values.to_vec())),
        Arc::new(BinaryViewArray::from(values.to_vec())),
    ];
    for column in columns {
        for offset in 0..5 {
            let slice = column.slice(offset, 5 - offset);
            let rows = told("x => x.constructor.name + x", &slice);
            let expected = values[offset..].iter().map(|row| {
                row.map(|row| format!("Uint8Array{}", row.iter().map(u8::to_string).collect::<Vec<_>>().join(",")))
            });
            assert_eq!(rows, expected.collect::<Vec<_>>());
        }
        let written = "x => { 'use strict'; try { x[0] = 7; return 'written' } catch (e) { return e.name } }";
        assert_eq!(told(written, &column)[0].as_deref(), Some("TypeError"));
    }
}

#[test]
fn lists_of_numbers_are_typed_arrays_over_the_column() {
    let mut fixed = FixedSizeListBuilder::new(Float32Builder::new(), 3);
    let mut list = ListBuilder::new(Int32Builder::new());
    for row in 0..6_i16 {
        for item in 0..3 {
            fixed.values().append_option((row != 2).then_some(f32::from(row * 10 + item)));
        }
        fixed.append(row != 2);
        (0..row).for_each(|item| list.values().append_value(i32::from(row * 10 + item)));
        list.append(row != 3);
    }
    let (fixed, list): (ArrayRef, ArrayRef) = (Arc::new(fixed.finish()), Arc::new(list.finish()));
    for offset in 0..6 {
        let told_fixed = told("x => x.constructor.name + x", &fixed.slice(offset, 6 - offset));
        let expected = (offset..6)
            .map(|row| (row != 2).then(|| format!("Float32Array{},{},{}", row * 10, row * 10 + 1, row * 10 + 2)));
        assert_eq!(told_fixed, expected.collect::<Vec<_>>());
        let told_list = told("x => x.constructor.name + x", &list.slice(offset, 6 - offset));
        let expected = (offset..6).map(|row| {
            let items: Vec<_> = (0..row).map(|item| (row * 10 + item).to_string()).collect();
            (row != 3).then(|| format!("Int32Array{}", items.join(",")))
        });
        assert_eq!(told_list, expected.collect::<Vec<_>>());
    }
}

#[test]
fn lists_are_returned_as_arrays_or_typed_arrays() {
    let field = Arc::new(Field::new("item", DataType::Float32, true));
    let fixed = DataType::FixedSizeList(field.clone(), 2);
    let columns = [doubles([Some(1.0), None, Some(2.0), Some(3.0)])];
    let text = "x => x === 1 ? [x, 0.5] : x === 2 ? new Float64Array([x, x]) : null";
    let result = call(text, &columns, fixed).unwrap();
    let rows: Vec<_> = (0..4).map(|row| result.is_valid(row)).collect();
    assert_eq!(rows, [true, false, true, false]);
    let items = result.as_fixed_size_list().values().as_primitive::<Float32Type>().values().to_vec();
    assert_eq!((&items[..2], &items[4..6]), (&[1.0, 0.5][..], &[2.0, 2.0][..]));
    let text = "x => x === 1 ? [] : x === 2 ? Array.from({ length: 3000 }, (_, i) => i) : new Uint8Array([7])";
    let result = call(text, &columns, DataType::List(Arc::new(Field::new("item", DataType::Int32, true)))).unwrap();
    let list = result.as_list::<i32>();
    assert_eq!((list.value_length(0), list.is_null(1), list.value_length(2)), (0, true, 3000));
    assert_eq!(list.value(2).as_primitive::<Int32Type>().values()[..], (0..3000).collect::<Vec<_>>()[..]);
    assert_eq!(list.value(3).as_primitive::<Int32Type>().values()[..], [7]);
}

#[test]
fn results_that_are_no_list_of_their_type() {
    let item = Arc::new(Field::new("item", DataType::Int16, true));
    let (fixed, list) = (DataType::FixedSizeList(item.clone(), 2), DataType::List(item));
    for value in [
        "1",
        "[1]",
        "[1, 2, 3]",
        "[1, '2']",
        "[1, 0.5]",
        "[1, 2 ** 15]",
        "[1, null]",
        "[1,,]",
        "'12'",
        "{ length: 2 }",
        "[1n, 2n]",
    ] {
        for data_type in [&fixed, &list] {
            if *data_type == list && ["[1]", "[1, 2, 3]"].contains(&value) {
                continue;
            }
            let told = reason(&format!("x => x === 2 ? ({value}) : [1, 2]"), &[doubles([1.0, 2.0])], data_type.clone());
            assert!(
                told.contains("for row 1, which is no") || told.contains("for row 1, which is in no"),
                "{value}: {told}"
            );
        }
    }
}

#[test]
fn bytes_are_returned_as_a_uint8array() {
    let columns = [doubles([Some(1.0), None, Some(2.0)])];
    for data_type in [DataType::Binary, DataType::LargeBinary, DataType::BinaryView] {
        let text = "x => new Uint8Array(x === 1 ? 5000 : 2).fill(x)";
        let result = call(text, &columns, data_type.clone()).unwrap();
        let told = told("x => x.length + ':' + x[0]", &result);
        assert_eq!(told, [Some("5000:1".to_owned()), None, Some("2:2".to_owned())]);
        for value in ["[1]", "new Int8Array(1)", "'x'", "new ArrayBuffer(1)", "1"] {
            assert!(reason(&format!("x => {value}"), &columns, data_type.clone()).contains("for row 0, which is no"));
        }
    }
}

#[test]
fn the_names_of_a_lists_items_do_not_matter() {
    let list = |name: &str, is_nullable| {
        let field = Arc::new(Field::new(name, DataType::Int32, is_nullable));
        let lists = FixedSizeListArray::new(field, 2, Arc::new(Int32Array::from(vec![1, 2])), None);
        Arc::new(lists) as ArrayRef
    };
    in_v8(|scope| {
        let types = [list("item", true).data_type().clone()];
        let f = ScalarFunction::compile(scope, "f", "x => x[0] + x[1]", &types, DataType::Float64).unwrap();
        assert_eq!(*f.call(scope, &[list("element", false)], 1).unwrap(), *doubles([3.0]));
        let longer = FixedSizeListArray::new_null(Arc::new(Field::new("item", DataType::Int32, true)), 3, 1);
        assert!(f.call(scope, &[Arc::new(longer)], 1).is_err());
    });
}

#[test]
fn lists_with_a_null_are_refused() {
    let mut fixed = FixedSizeListBuilder::new(Float32Builder::new(), 2);
    for row in 0..3 {
        fixed.values().append_value(0.0);
        fixed.values().append_option((row != 1).then_some(1.0));
        fixed.append(true);
    }
    let column: ArrayRef = Arc::new(fixed.finish());
    let expected = "JavaScript function f: argument 1 has a NULL in the list of row 1; lists of numbers have none";
    assert_eq!(reason("x => x[0]", std::slice::from_ref(&column), DataType::Float64), expected);
    assert!(call("x => x[1]", &[column.slice(2, 1)], DataType::Float64).is_ok());
}

#[test]
fn dictionaries_are_decoded() {
    let texts: DictionaryArray<Int8Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    let column: ArrayRef = Arc::new(texts);
    assert_eq!(told("x => x + x", &column.slice(1, 3)), [None, Some("bb".to_owned()), Some("aa".to_owned())]);
    // A NULL may also be one of the values.
    let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), None]));
    let column = DictionaryArray::<Int32Type>::try_new(Int32Array::from(vec![0, 1, 0]), values).unwrap();
    let result = call("x => x + 1", &[Arc::new(column)], DataType::Float64).unwrap();
    assert_eq!(*result, *doubles([Some(6.0), None, Some(6.0)]));
}

#[test]
fn types_that_are_not_on_the_list() {
    use DataType::*;
    let item = |data_type| Arc::new(offheap_arrow::arrow_schema::Field::new("item", data_type, true));
    let mut refused =
        vec![Null, UInt64, Float16, Decimal128(10, 2), Time32(TimeUnit::Second), Duration(TimeUnit::Second)];
    refused.extend([List(item(Utf8)), LargeList(item(Float64)), FixedSizeList(item(Boolean), 3), FixedSizeBinary(4)]);
    refused.extend([Dictionary(Box::new(Int8), Box::new(UInt64)), Struct(vec![item(Float64)].into())]);
    for data_type in refused {
        let column = offheap_arrow::arrow_array::new_empty_array(&data_type);
        assert!(reason("x => x", &[column], Float64).contains(&format!("argument 1 has the type {data_type}")));
    }
    for data_type in [
        UInt64,
        List(item(Int64)),
        List(item(Utf8)),
        FixedSizeList(item(Int64), 3),
        FixedSizeList(item(Float32), 0),
        Dictionary(Box::new(Int8), Box::new(Utf8)),
    ] {
        assert!(reason("() => 1", &[], data_type.clone()).contains(&format!("the result has the type {data_type}")));
    }
}

#[test]
fn results_of_text_and_boolean_are_not_converted() {
    let column = [doubles([1.0])];
    for value in ["1", "new String('x')", "true", "['x']", "Symbol()"] {
        assert!(reason(&format!("x => {value}"), &column, DataType::Utf8).ends_with("for row 0, which is no Utf8"));
    }
    for value in ["1", "0", "'true'", "new Boolean(true)"] {
        assert!(
            reason(&format!("x => {value}"), &column, DataType::Boolean).ends_with("for row 0, which is no Boolean")
        );
    }
}

#[test]
fn nulls_take_the_default_values_of_parameters() {
    let columns = [doubles([Some(1.0), None, None]), doubles([Some(10.0), Some(20.0), None])];
    let defaults = |text: &str| call(text, &columns, DataType::Float64).map_err(|error| error.to_string());
    assert_eq!(*defaults("(x = 5, y) => x + (y === undefined ? 100 : y)").unwrap(), *doubles([11.0, 25.0, 105.0]));
    assert_eq!(*defaults("(x, y = 5) => x + y").unwrap(), *doubles([Some(11.0), None, None]));
    assert_eq!(
        *defaults("function (x = [1, 2].length, y = ')'.length) { return x + y }").unwrap(),
        *doubles([11.0, 22.0, 3.0])
    );
    assert_eq!(
        *defaults("(x /* , = */, y = /[)]/.source.length) => x + y").unwrap(),
        *doubles([Some(11.0), None, None])
    );
    for text in [
        "function /* => */ sum(x = 1, y = 5) { return x + y }",
        "function sum /* (a, b) => */ (x = 1, y = 5) { return x + y }",
        "async => 0, function // (=>\n (x = 1, y = 5) { return x + y }",
    ] {
        assert_eq!(*defaults(text).unwrap(), *doubles([11.0, 21.0, 6.0]), "{text}");
    }
    assert_eq!(*defaults("(...all) => all[0] + all[1]").unwrap(), *doubles([Some(11.0), None, None]));
    assert_eq!(*defaults("(x = 1, ...more) => x").unwrap(), *doubles([1.0, 1.0, 1.0]));
    assert_eq!(*defaults("Math.max").unwrap(), *doubles([Some(10.0), None, None]));
    assert_eq!(
        *defaults("({ step(x, y = (a => a)(7)) { return x + y } }).step").unwrap(),
        *doubles([Some(11.0), None, None])
    );
    for (text, count) in [
        ("(x = 1) => x", "1 parameter"),
        ("x => x", "1 parameter"),
        ("() => 1", "0 parameters"),
        ("(x = 1, y, z) => x", "3 parameters"),
        ("Math.abs", "1 parameter"),
    ] {
        assert_eq!(
            defaults(text).unwrap_err(),
            format!("JavaScript function f: its text has {count}, and 2 arguments are declared")
        );
    }
}

#[test]
fn a_function_that_is_called_on_null_input_gets_null() {
    let columns = [doubles([Some(1.0), None]), doubles([None, Some(2.0)])];
    let types = [DataType::Float64, DataType::Float64];
    let result = in_v8(|scope| {
        let text = "(x, y = 100) => (x === null ? -1 : x) * (y === null ? -10 : y)";
        let builder = ScalarFunction::builder("f", text, &types, DataType::Float64).called_on_null_input();
        builder.compile(scope)?.call(scope, &columns, 2)
    });
    assert_eq!(*result.unwrap(), *doubles([-10.0, -2.0]));
}

#[test]
fn every_type_may_be_undefined() {
    let binary: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"x"[..]), None]));
    let boolean: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None]));
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let [text, ..] = strings(&[Some("x"), None]);
    for column in [binary, boolean, wide, text] {
        assert_eq!(told("(x = 'default') => String(x)", &column)[1].as_deref(), Some("default"));
    }
}

#[test]
fn the_columns_of_one_call_may_have_any_types() {
    let [text, ..] = strings(&[Some("a"), Some("b")]);
    let columns: [ArrayRef; 4] = [
        text,
        Arc::new(BooleanArray::from(vec![true, false])),
        Arc::new(Int64Array::from(vec![1, i64::MAX])),
        doubles([0.5, 1.5]),
    ];
    let result = call("(a, b, c, d) => `${a} ${b} ${c} ${d}`", &columns, DataType::Utf8).unwrap();
    let rows: Vec<_> = result.as_string::<i32>().iter().map(|row| row.map(str::to_owned)).collect();
    assert_eq!(rows, some(["a true 1 0.5", "b false 9223372036854775807 1.5"]));
    let sum = call("(a, b, c, d) => d", &columns, DataType::Float64).unwrap();
    assert_eq!(*sum.as_primitive::<Float64Type>().values(), [0.5, 1.5]);
}
