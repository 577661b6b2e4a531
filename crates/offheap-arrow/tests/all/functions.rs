//! Functions over columns: what they return.

use std::sync::Arc;

use offheap_arrow::ScalarFunction;
use offheap_arrow::arrow_array::builder::BooleanBuilder;
use offheap_arrow::arrow_array::cast::AsArray;
use offheap_arrow::arrow_array::types::{Float64Type, Int32Type};
use offheap_arrow::arrow_array::{
    ArrayRef, BooleanArray, Float32Array, Int8Array, Int16Array, Int32Array, UInt8Array, UInt16Array, UInt32Array,
};
use offheap_arrow::arrow_schema::DataType;

use crate::kit::{call, doubles, in_v8};

#[test]
fn a_function_is_called_for_each_row() {
    let result = call("x => x * 2 + 1", &[doubles([1.0, -0.5, f64::INFINITY])], DataType::Float64).unwrap();
    assert_eq!(*result, *doubles([3.0, 0.0, f64::INFINITY]));
}

#[test]
fn a_row_with_a_null_is_null_without_a_call() {
    let columns = [doubles([Some(1.0), None, Some(3.0)]), doubles([Some(10.0), Some(20.0), None])];
    let text = "(() => { let calls = 0; return (x, y) => ++calls * 100 + x + y })()";
    assert_eq!(*call(text, &columns, DataType::Float64).unwrap(), *doubles([Some(111.0), None, None]));
}

#[test]
fn null_and_undefined_are_null() {
    let text = "x => x === 1 ? null : x === 2 ? undefined : x";
    let result = call(text, &[doubles([1.0, 2.0, 3.0])], DataType::Float64).unwrap();
    assert_eq!(*result, *doubles([None, None, Some(3.0)]));
}

#[test]
fn every_kind_of_number_comes_and_goes() {
    let columns: [(ArrayRef, DataType); 8] = [
        (Arc::new(Int8Array::from(vec![i8::MIN, -1, i8::MAX])), DataType::Int8),
        (Arc::new(UInt8Array::from(vec![0, 1, u8::MAX])), DataType::UInt8),
        (Arc::new(Int16Array::from(vec![i16::MIN, -1, i16::MAX])), DataType::Int16),
        (Arc::new(UInt16Array::from(vec![0, 1, u16::MAX])), DataType::UInt16),
        (Arc::new(Int32Array::from(vec![i32::MIN, -1, i32::MAX])), DataType::Int32),
        (Arc::new(UInt32Array::from(vec![0, 1, u32::MAX])), DataType::UInt32),
        (Arc::new(Float32Array::from(vec![f32::MIN, 0.1, f32::MAX])), DataType::Float32),
        (doubles([f64::MIN, 0.1, f64::MAX]), DataType::Float64),
    ];
    for (column, data_type) in columns {
        assert_eq!(*call("x => x", std::slice::from_ref(&column), data_type).unwrap(), *column);
    }
}

#[test]
fn booleans_are_bits_at_any_offset() {
    let mut bits = BooleanBuilder::new();
    (0..100).for_each(|i| bits.append_option((i % 7 != 0).then_some(i % 3 == 0)));
    let column = bits.finish();
    for offset in [0, 1, 7, 8, 9, 63, 64, 65] {
        let slice = column.slice(offset, 20);
        let expected: BooleanArray = slice.iter().map(|bit| bit.map(|bit| !bit)).collect();
        let result = call("x => !x", &[Arc::new(slice)], DataType::Boolean).unwrap();
        assert_eq!(*result, expected as BooleanArray);
    }
}

#[test]
fn a_function_without_arguments_is_called_for_each_row() {
    let result = call("(() => { let n = 0; return () => n++ })()", &[], DataType::Int32).unwrap();
    assert_eq!(*result.as_primitive::<Int32Type>().values(), [0, 1, 2]);
}

#[test]
fn a_text_is_an_expression_or_with_names_a_body() {
    let texts = [
        "x => x + 1",
        "function (x) { return x + 1 }",
        "function named(x) { return x + 1 }",
        "x => x + 1 // a comment",
        "\n  // before\n x => { return x + 1 }",
        "return x + 1",
        "const y = 1; return x + y;",
        "function g(y) { return y + 1 } return g(x)",
        "if (x > 0) return x + 1; else return x + 1",
    ];
    for text in texts {
        let result = in_v8(|scope| {
            let builder = ScalarFunction::builder("f", text, &[DataType::Float64], DataType::Float64);
            let function = builder.parameter_names(["x"]).compile(scope)?;
            function.call(scope, &[doubles([1.0])], 1)
        });
        assert_eq!(*result.unwrap(), *doubles([2.0]), "{text}");
    }
}

#[test]
fn a_function_is_called_for_many_batches() {
    in_v8(|scope| {
        let double =
            ScalarFunction::compile(scope, "f", "x => x * 2", &[DataType::Float64], DataType::Float64).unwrap();
        for row_count in [0, 1, 7, 8, 9, 8192, 1] {
            let column = doubles((0..row_count).map(|i| (i % 5 != 0).then_some(f64::from(i))));
            let result = double.call(scope, std::slice::from_ref(&column), row_count as usize).unwrap();
            let expected = doubles(column.as_primitive::<Float64Type>().iter().map(|x| x.map(|x| x * 2.0)));
            assert_eq!(*result, *expected);
        }
        assert_eq!(double.copied_bytes(), 0);
    });
}

#[test]
fn functions_do_not_see_what_others_do_to_built_in_objects() {
    in_v8(|scope| {
        let mut make =
            |text| ScalarFunction::compile(scope, "f", text, &[DataType::Float64], DataType::Float64).unwrap();
        let bad = make(
            "(Math.abs = () => 7, Object.prototype.x = 7, Array.prototype[0] = 7, globalThis.y = 7, x => Math.abs(x))",
        );
        let good = make("x => Math.abs(x) + (typeof y === 'undefined' && ({}).x === undefined ? 0 : 100)");
        let column = [doubles([-1.0, 2.0])];
        assert_eq!(*bad.call(scope, &column, 2).unwrap(), *doubles([7.0, 7.0]));
        assert_eq!(*good.call(scope, &column, 2).unwrap(), *doubles([1.0, 2.0]));
    });
}

#[test]
fn the_result_can_be_written_by_arrow() {
    let result = call("x => x", &[doubles([1.0, 2.0])], DataType::Float64).unwrap();
    let buffer = result.as_primitive::<Float64Type>().values().inner().clone();
    drop(result);
    assert!(buffer.into_mutable().is_ok());
}

/// What a text makes of 3, with a name for its parameter.
fn of_three(text: &str) -> Result<ArrayRef, offheap_arrow::Error> {
    in_v8(|scope| {
        let builder =
            ScalarFunction::builder("f", text, &[DataType::Float64], DataType::Float64).parameter_names(["x"]);
        builder.compile(scope)?.call(scope, &[doubles([3.0])], 1)
    })
}

#[test]
fn a_semicolon_after_an_expression_is_left_out() {
    for text in [
        "x => x * 2;",
        "x => x * 2 ; ;\n",
        "x => x * 2; // twice; really",
        "x => x * 2; /* twice; */ ; // really",
        "x => x + '2;//'.length - 1;",
        "function n(x) { return x * 2; } ;",
    ] {
        assert_eq!(*of_three(text).unwrap(), *doubles([6.0]), "{text}");
    }
    assert_eq!(*call("x => x * 2;", &[doubles([3.0])], DataType::Float64).unwrap(), *doubles([6.0]));
}

#[test]
fn a_body_without_return_is_refused() {
    for text in [
        "x * 2 + 1;",
        "x * 2 + 1",
        "{ x => x * 2 }",
        "function h(x) { return x } function n(a) { return h(a) }",
        "const h = x => { return x }; a => h(a)",
        "h\n; (x => x)",
        "",
    ] {
        let expected = "JavaScript function f: its text is a body without `return`; a body needs `return`, or write a function \
                        such as `x => x + 1`";
        assert_eq!(of_three(text).unwrap_err().to_string(), expected, "{text}");
    }
    for text in ["if (x > 2) { return x * 2 }", "try { h(x) } catch { return x + 3; };", "return x * 2;"] {
        assert_eq!(*of_three(text).unwrap(), *doubles([6.0]), "{text}");
    }
    // It is an error of the text, not of the form.
    assert!(of_three("y * 2").unwrap_err().to_string().contains("ReferenceError: y is not defined"));
}

#[test]
fn many_semicolons_take_no_time_of_their_own() {
    let ends = |count: usize| format!("x => x * 2{}", ";".repeat(count));
    assert_eq!(*of_three(&ends(1 << 20)).unwrap(), *doubles([6.0]));
    // Nothing but a look at all that follows says that these end nothing. The limit of what is looked at is the same for more text.
    let few = cpu_ns_of_semicolons(";", SEMICOLONS);
    for unit in [";", "/*;*/;"] {
        let many = cpu_ns_of_semicolons(unit, 4 * SEMICOLONS);
        assert!(many < 4.0 * few, "{unit}: {many} ns, and {few} ns for a quarter of the semicolons");
    }
}

/// So many that a look at what follows each of them reaches the limit.
const SEMICOLONS: usize = 1 << 13;

/// The CPU time of this thread for text with semicolons in the middle.
fn cpu_ns_of_semicolons(unit: &str, count: usize) -> f64 {
    let text = format!("x => x{}y", unit.repeat(count));
    let begin = benches::cpu_nanoseconds();
    assert!(of_three(&text).unwrap_err().to_string().contains("a body needs `return`"));
    benches::cpu_nanoseconds() - begin
}
