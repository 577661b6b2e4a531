//! Columns of numbers.

use std::sync::Arc;

use benches::{Row, cpu_row};
use offheap_arrow::arrow_array::cast::AsArray;
use offheap_arrow::arrow_array::types::{Float64Type, Int32Type};
use offheap_arrow::arrow_array::{ArrayRef, Float64Array, Int32Array};
use offheap_arrow::arrow_schema::DataType;

use crate::{ROWS, call, with_function};

const DOUBLE: &str = "x => x * 2 + 1";

fn doubles() -> ArrayRef {
    Arc::new((0..ROWS).map(|row| Some(row as f64)).collect::<Float64Array>())
}

/// `x * 2 + 1`, next to a loop in Rust into a new `Vec`.
pub(crate) fn f64_rust(name: &'static str) -> Row {
    let columns = [doubles()];
    with_function(DOUBLE, &columns, DataType::Float64, |scope, function| {
        let ours = || call(scope, function, &columns);
        cpu_row(name, 5.0, ours, || -> ArrayRef {
            let values = columns[0].as_primitive::<Float64Type>().values();
            Arc::new(Float64Array::from(values.iter().map(|x| x * 2.0 + 1.0).collect::<Vec<_>>()))
        })
    })
}

/// `a + b`, next to a loop in Rust into a new `Vec`.
pub(crate) fn i32_rust(name: &'static str) -> Row {
    let column = |by: i32| -> ArrayRef { Arc::new((0..ROWS as i32).map(|row| Some(row * by)).collect::<Int32Array>()) };
    let columns = [column(1), column(3)];
    with_function("(a, b) => a + b", &columns, DataType::Int32, |scope, function| {
        let ours = || call(scope, function, &columns);
        cpu_row(name, 6.0, ours, || -> ArrayRef {
            let [a, b] = [0, 1].map(|index: usize| columns[index].as_primitive::<Int32Type>().values());
            Arc::new(Int32Array::from(a.iter().zip(b).map(|(a, b)| a.wrapping_add(*b)).collect::<Vec<_>>()))
        })
    })
}

/// A column with 10 % NULL, next to the same function over one without.
pub(crate) fn nulls(name: &'static str) -> Row {
    let mut random = 7_u64;
    let with_nulls = (0..ROWS).map(|row| {
        {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            !(random >> 33).is_multiple_of(10)
        }
        .then_some(row as f64)
    });
    let with_nulls: [ArrayRef; 1] = [Arc::new(with_nulls.collect::<Float64Array>())];
    let without = [doubles()];
    with_function(DOUBLE, &with_nulls, DataType::Float64, |scope, ours| {
        let types = [DataType::Float64];
        let peer = offheap_arrow::ScalarFunction::compile(scope, "f", DOUBLE, &types, DataType::Float64);
        let peer = peer.expect("a function");
        let scope = std::cell::RefCell::new(scope);
        let ours = || call(&mut scope.borrow_mut(), ours, &with_nulls);
        cpu_row(name, 2.0, ours, || call(&mut scope.borrow_mut(), &peer, &without))
    })
}

/// A call of one row, next to a call of a whole batch.
pub(crate) fn one_row(name: &'static str) -> Row {
    let columns = [doubles()];
    let one = [columns[0].slice(5, 1)];
    with_function(DOUBLE, &columns, DataType::Float64, |scope, function| {
        let scope = std::cell::RefCell::new(scope);
        let ours = || call(&mut scope.borrow_mut(), function, &one);
        cpu_row(name, 0.15, ours, || call(&mut scope.borrow_mut(), function, &columns))
    })
}
