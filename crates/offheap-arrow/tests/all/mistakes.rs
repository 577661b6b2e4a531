//! What is an error, and what it says.

use std::sync::Arc;
use std::time::Duration;

use offheap_arrow::arrow_array::{ArrayRef, Int32Array};
use offheap_arrow::arrow_schema::{DataType, Field, TimeUnit};
use offheap_arrow::offheap_v8::{IsolateExt, ScopeExt};
use offheap_arrow::{Place, Reason, ScalarFunction};

use crate::kit::{doubles, in_v8, is_script, isolate_builder, reason, refused};

#[test]
fn a_text_that_is_no_function() {
    assert_eq!(refused("1 + 1"), "JavaScript function f: its text is 2, not a function such as `x => x + 1`");
    assert_eq!(refused("'g'"), "JavaScript function f: its text is \"g\", not a function such as `x => x + 1`");
}

#[test]
fn mistakes_of_syntax_have_a_line_and_a_column_of_the_text() {
    assert_eq!(refused("x => x +"), "JavaScript function f: SyntaxError: Unexpected token ')' (line 1, column 9)");
    assert_eq!(refused("x => y z"), "JavaScript function f: SyntaxError: Unexpected identifier 'z' (line 1, column 8)");
    assert!(refused("return x * 2").contains("Unexpected token 'return' (line 1, column 1)"));
}

#[test]
fn in_a_body_the_mistake_that_is_farther_on_is_told() {
    in_v8(|scope| {
        let mut place = |text| {
            let builder = ScalarFunction::builder("f", text, &[DataType::Float64], DataType::Float64);
            let error = builder.parameter_names(["x"]).compile(scope).map(|_| ()).unwrap_err();
            let Reason::Script { place, .. } = error.reason() else { panic!("{error}") };
            place.unwrap()
        };
        assert_eq!(place("const y = 1;\nreturn x * ;"), Place { line: 2, column: 12 });
        assert_eq!(place("x => { return x *; }"), Place { line: 1, column: 18 });
    });
}

#[test]
fn what_script_throws_has_its_place_and_the_row() {
    let column = [doubles([1.0, 100.5])];
    let text = "x => {\n  if (x > 100) throw new RangeError('too large: ' + x);\n  return x\n}";
    let expected = "JavaScript function f: RangeError: too large: 100.5 (line 2, column 16), in row 1";
    assert_eq!(reason(text, &column, DataType::Float64), expected);
    let expected = "JavaScript function f: ReferenceError: y is not defined (line 1, column 6), in row 0";
    assert_eq!(reason("x => y", &column, DataType::Float64), expected);
}

#[test]
fn strange_values_are_thrown() {
    let column = [doubles([1.0])];
    for thrown in
        ["null", "undefined", "{ toString() { throw 1 } }", "Symbol()", "new Proxy({}, {})", "Object.create(null)"]
    {
        let told = reason(&format!("x => {{ throw {thrown} }}"), &column, DataType::Float64);
        assert!(told.starts_with("JavaScript function f: ") && told.ends_with(", in row 0"), "{told}");
    }
}

#[test]
fn results_of_another_type() {
    let column = [doubles([1.0])];
    let wrong = |result: &str, value: &str, value_type: &str| {
        let expected =
            format!("JavaScript function f: it returned {value} ({value_type}) for row 0, which is no Float64");
        assert_eq!(reason(&format!("x => ({result})"), &column, DataType::Float64), expected);
    };
    wrong("'1'", "\"1\"", "string");
    wrong("1n", "1n", "bigint");
    wrong("true", "true", "boolean");
    wrong("{}", "#<Object>", "object");
    wrong("Promise.resolve(1)", "#<Promise>", "object");
    wrong("{ valueOf() { throw 1 }, toString() { throw 1 } }", "[object Object]", "object");
    wrong("x => x", "x => x", "function");
    wrong("Symbol('s')", "Symbol(s)", "symbol");
}

#[test]
fn whole_numbers_are_whole_and_in_range() {
    let cases = [
        (DataType::Int8, "128"),
        (DataType::Int8, "-129"),
        (DataType::UInt8, "256"),
        (DataType::UInt8, "-1"),
        (DataType::Int16, "32768"),
        (DataType::UInt16, "65536"),
        (DataType::Int32, "2147483648"),
        (DataType::Int32, "0.5"),
        (DataType::Int32, "NaN"),
        (DataType::Int32, "Infinity"),
        (DataType::UInt32, "4294967296"),
        (DataType::UInt32, "-1"),
    ];
    // These are no numbers, and cannot be made numbers.
    for (value, told) in [
        ("1n", "1n (bigint)"),
        ("Symbol('s')", "Symbol(s) (symbol)"),
        ("{ valueOf() { throw 1 } }", "#<Object> (object)"),
    ] {
        let text = format!("x => ({value})");
        assert!(
            reason(&text, &[doubles([1.0])], DataType::Int32).contains(&format!("returned {told} for row 0")),
            "{value}"
        );
    }
    for (data_type, value) in cases {
        let told = reason(&format!("x => x === 2 ? {value} : 1"), &[doubles([1.0, 2.0])], data_type.clone());
        assert!(told.ends_with(&format!("returned {value} (number) for row 1, which is no {data_type}")), "{told}");
    }
}

#[test]
fn the_number_of_parameters_is_that_of_the_arguments() {
    let count = |declared: usize| {
        format!("JavaScript function f: its text has {declared} parameters, and 1 argument is declared")
    };
    assert_eq!(refused("() => 1"), count(0));
    assert_eq!(refused("(x, y) => 1"), count(2));
    let of_length = |length| refused(&format!("Object.defineProperty(x => x, 'length', {{ value: {length} }})"));
    assert_eq!(of_length("1e13"), count(10_000_000_000_000));
    assert_eq!(of_length("Infinity"), count(usize::MAX));
    assert_eq!(of_length("Symbol()"), "JavaScript function f: TypeError: Cannot convert a Symbol value to a number");
    assert!(of_length("{ valueOf() { throw 7 } }").starts_with("JavaScript function f: 7"));
}

#[test]
fn more_names_than_v8_counts() {
    in_v8(|scope| {
        let mut refused = |count| {
            let names = (0..count).map(|index| format!("a{index}"));
            let builder = ScalarFunction::builder("f", "return a60000", &[DataType::Float64], DataType::Float64);
            builder.parameter_names(names).compile(scope).map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(refused(65_534), "JavaScript function f: its text has 65534 parameters, and 1 argument is declared");
        // V8 counts parameters in 16 bits, so it would see one parameter here, as many as there are arguments.
        assert_eq!(refused(65_537), "JavaScript function f: its text has 65537 parameters, and 1 argument is declared");
    });
}

#[test]
fn a_long_text_among_the_parameters_fills_no_heap() {
    let mut isolate = isolate_builder().heap_limits(0, 64 << 20).build().unwrap();
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let text = format!("(x = '{}{}') => x", "a".repeat(4 << 20), ",".repeat(1000));
            let made = ScalarFunction::compile(scope, "f", &text, &[DataType::Float64], DataType::Float64);
            let told = made.map(|_| ()).unwrap_err().to_string();
            assert_eq!(told, "JavaScript function f: its text has 0 parameters, and 1 argument is declared");
        });
    });
}

#[test]
fn names_that_cannot_be_parameters() {
    in_v8(|scope| {
        for name in ["", "1x", "class", "a b", "x) => 0; ((y", "x,y", "x = 1", "\0"] {
            let builder = ScalarFunction::builder("f", "return 1", &[DataType::Float64], DataType::Float64);
            let error = builder.parameter_names([name]).compile(scope).map(|_| ()).unwrap_err();
            assert!(matches!(error.reason(), Reason::ParameterName { name: told } if told == name), "{name}: {error}");
        }
    });
}

#[test]
fn types_that_are_not_supported_are_named() {
    in_v8(|scope| {
        let told = |made: Result<ScalarFunction, offheap_arrow::Error>| made.map(|_| ()).unwrap_err().to_string();
        let made = ScalarFunction::compile(scope, "f", "x => x", &[DataType::Float16], DataType::Float64);
        assert!(told(made).starts_with("JavaScript function f: argument 1 has the type Float16, which"));
        let made = ScalarFunction::compile(scope, "f", "x => x", &[DataType::Float64], DataType::Float16);
        assert!(told(made).starts_with(
            "JavaScript function f: the result has the type Float16, which JavaScript functions do not return"
        ));
    });
}

#[test]
fn columns_that_the_function_was_not_made_for() {
    in_v8(|scope| {
        let f = ScalarFunction::compile(scope, "f", "x => x", &[DataType::Float64], DataType::Float64).unwrap();
        let ints: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let mut told = |columns: &[ArrayRef], row_count| f.call(scope, columns, row_count).unwrap_err().to_string();
        assert!(told(&[], 1).ends_with("it was made for 1 column, and got 0 columns"));
        assert!(told(&[ints], 1).ends_with("it was made for argument 1 of Float64, and got argument 1 of Int32"));
        assert!(
            told(&[doubles([1.0])], 2)
                .ends_with("it was made for argument 1 with 2 rows, and got argument 1 with 1 row")
        );
    });
}

#[test]
fn a_function_works_again_after_an_error() {
    in_v8(|scope| {
        let text = "x => { if (x === 2) throw 1; return x === 3 ? 'x' : x }";
        let f = ScalarFunction::compile(scope, "f", text, &[DataType::Float64], DataType::Float64).unwrap();
        for _ in 0..100 {
            assert!(is_script(&f.call(scope, &[doubles([1.0, 2.0])], 2).unwrap_err()));
            let wrong = f.call(scope, &[doubles([1.0, 3.0])], 2).unwrap_err();
            assert!(matches!(wrong.reason(), Reason::WrongResult { row: 1, .. }));
            assert_eq!(*f.call(scope, &[doubles([1.0])], 1).unwrap(), *doubles([1.0]));
        }
    });
}

#[test]
fn script_that_is_terminated_is_an_error_of_its_own() {
    let mut isolate = isolate_builder().build().unwrap();
    let handle = isolate.thread_safe_handle();
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let f = ScalarFunction::compile(
                scope,
                "f",
                "x => { while (x === 1); return x }",
                &[DataType::Float64],
                DataType::Float64,
            )
            .unwrap();
            let watchdog = std::thread::spawn({
                let handle = handle.clone();
                move || {
                    std::thread::sleep(Duration::from_millis(50));
                    handle.terminate_execution();
                }
            });
            let error = f.call(scope, &[doubles([2.0, 1.0])], 2).unwrap_err();
            watchdog.join().unwrap();
            assert!(error.is_terminated(), "{error}");
            assert_eq!(error.to_string(), "JavaScript function f: it was stopped");
            handle.cancel_terminate_execution();
            assert_eq!(*f.call(scope, &[doubles([2.0])], 1).unwrap(), *doubles([2.0]));
        });
    });
}

#[test]
fn results_of_types_that_script_has_not_are_told_with_what_to_return() {
    let told = |text: &str, result: DataType| {
        let told = reason(text, &[doubles([1.0])], result);
        told.strip_prefix("JavaScript function f: it returned ").unwrap().to_owned()
    };
    let item = Arc::new(Field::new("item", DataType::Float64, true));
    for (text, result, expected) in [
        ("x => [1, 2]", DataType::FixedSizeList(item.clone(), 3), "; return a list of length 3"),
        ("x => 'a'", DataType::List(item.clone()), "; return an array or a typed array"),
        ("x => [1]", DataType::Binary, "; return a Uint8Array"),
        ("x => new Date(0)", DataType::Date32, "; return the milliseconds since 1970 of a whole day"),
        ("x => 0.5", DataType::Date64, "; return whole milliseconds since 1970"),
        (
            "x => 1",
            DataType::Timestamp(TimeUnit::Second, None),
            "; return the milliseconds since 1970 of a whole second",
        ),
        ("x => '1'", DataType::Timestamp(TimeUnit::Nanosecond, None), "; return the milliseconds since 1970"),
        ("x => 2 ** 53", DataType::Int64, "which is no Int64; return a BigInt for what is beyond 2^53 - 1"),
        ("x => 0.5", DataType::Int64, "which is no Int64"),
    ] {
        let told = told(text, result);
        assert!(told.ends_with(expected), "{text}: {told}");
    }
    let expected = "a list with \"a\" (string) at index 1 for row 0, which is in no ";
    for result in [DataType::FixedSizeList(item.clone(), 3), DataType::List(item)] {
        let told = told("x => [1, 'a', 2]", result);
        assert!(told.starts_with(expected), "{told}");
    }
}
