//! Functions of JavaScript over columns, compared with other crates, by the CPU time of the calling thread. Prints rows of
//! `what | ours | peer | ratio`, and writes `peers-arrow-udf.json`. `-- TEXT` selects the rows whose names contain TEXT.
#![forbid(unsafe_code)]

mod udf;

use std::error::Error;
use std::sync::Arc;

use arrow_arith::numeric::{add, mul};
use benches::{Measure, Row, cpu_row, run};
use offheap_arrow::ScalarFunction;
use offheap_arrow::arrow_array::{Array, ArrayRef, Float64Array, Int32Array, Int64Array, StringArray};
use offheap_arrow::arrow_schema::DataType;
use offheap_arrow::offheap_v8::{self, Isolate, ScopeExt, v8};

use udf::Peer;

/// The rows of a batch.
const ROWS: usize = 8_192;

fn main() -> Result<(), Box<dyn Error>> {
    offheap_v8::start("")?;
    let all: [(&str, Measure); 6] = [
        ("column_f64_udf", f64_udf),
        ("column_i32_udf", i32_udf),
        ("column_nulls_udf", nulls_udf),
        ("column_i64", i64_kernels),
        ("strings_upper_udf", upper_udf),
        ("strings_length_udf", length_udf),
    ];
    run("peers-arrow-udf.json", &all, || Ok(()))
}

/// Makes a function for these columns, and gives it to `work`.
fn with_function<R>(
    text: &str,
    columns: &[ArrayRef],
    result: DataType,
    work: impl FnOnce(&mut v8::PinScope<'_, '_>, &ScalarFunction) -> R,
) -> R {
    let types: Vec<_> = columns.iter().map(|column| column.data_type().clone()).collect();
    let builder = Isolate::builder().buffer_alignment(64).max_young_bytes(12 << 20);
    let mut isolate = builder.build().expect("an isolate");
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let function = ScalarFunction::compile(scope, "f", text, &types, result).expect("a function");
            work(scope, &function)
        })
    })
}

/// Both with the same text.
fn next_to_udf(name: &'static str, goal: f64, text: &str, columns: &[ArrayRef], result: DataType) -> Row {
    let peer = Peer::new(text, columns, &result);
    with_function(text, columns, result, |scope, function| {
        let ours = || function.call(scope, columns, ROWS).expect("it does not throw");
        cpu_row(name, goal, ours, || peer.call())
    })
}

fn doubles() -> ArrayRef {
    Arc::new((0..ROWS).map(|row| Some(row as f64)).collect::<Float64Array>())
}

fn names() -> ArrayRef {
    Arc::new((0..ROWS).map(|row| Some(format!("a name of {row:06}"))).collect::<StringArray>())
}

fn f64_udf(name: &'static str) -> Row {
    next_to_udf(name, 1.0 / 35.0, "x => x * 2 + 1", &[doubles()], DataType::Float64)
}

fn i32_udf(name: &'static str) -> Row {
    let column = |by: i32| -> ArrayRef { Arc::new((0..ROWS as i32).map(|row| Some(row * by)).collect::<Int32Array>()) };
    next_to_udf(name, 1.0 / 35.0, "(a, b) => a + b", &[column(1), column(3)], DataType::Int32)
}

/// 10 % are NULL.
fn nulls_udf(name: &'static str) -> Row {
    let mut random = 7_u64;
    let column = (0..ROWS).map(|row| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (!(random >> 33).is_multiple_of(10)).then_some(row as f64)
    });
    let column: ArrayRef = Arc::new(column.collect::<Float64Array>());
    next_to_udf(name, 1.0 / 18.0, "x => x * 2 + 1", &[column], DataType::Float64)
}

fn upper_udf(name: &'static str) -> Row {
    next_to_udf(name, 1.0 / 4.5, "x => x.toUpperCase()", &[names()], DataType::Utf8)
}

fn length_udf(name: &'static str) -> Row {
    next_to_udf(name, 1.0 / 10.0, "x => x.length", &[names()], DataType::Int32)
}

/// `x * 2 + 1` on BIGINT, next to Arrow's kernels.
fn i64_kernels(name: &'static str) -> Row {
    let columns: [ArrayRef; 1] = [Arc::new((0..ROWS as i64).map(Some).collect::<Int64Array>())];
    let (two, one) = (Int64Array::new_scalar(2), Int64Array::new_scalar(1));
    with_function("x => x * 2 + 1", &columns, DataType::Int64, |scope, function| {
        let ours = || function.call(scope, &columns, ROWS).expect("it does not throw");
        cpu_row(name, 3.0, ours, || add(&mul(&columns[0], &two).expect("numbers"), &one).expect("numbers"))
    })
}
