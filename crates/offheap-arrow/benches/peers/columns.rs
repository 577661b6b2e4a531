//! Columns of numbers.

use std::cell::RefCell;
use std::sync::Arc;

use benches::{Row, cpu_row};
use offheap_arrow::ScalarFunction;
use offheap_arrow::arrow_array::cast::AsArray;
use offheap_arrow::arrow_array::types::{Float64Type, Int32Type};
use offheap_arrow::arrow_array::{ArrayRef, Float64Array, Int32Array};
use offheap_arrow::arrow_schema::DataType;

use crate::{ROWS, Table, call, with_function};

const DOUBLE: &str = "x => x * 2 + 1";

pub(crate) fn doubles(batch: usize) -> Vec<ArrayRef> {
    vec![Arc::new((0..ROWS).map(|row| Some((batch + row) as f64)).collect::<Float64Array>())]
}

/// `x * 2 + 1`, next to a loop in Rust into a new `Vec`.
pub(crate) fn f64_rust(name: &'static str) -> Row {
    let table = Table::new(doubles);
    with_function(DOUBLE, &table, DataType::Float64, |scope, function| {
        let ours = || call(scope, function, table.next());
        cpu_row(name, 5.0, ours, || -> ArrayRef {
            let values = table.next()[0].as_primitive::<Float64Type>().values();
            Arc::new(Float64Array::from(values.iter().map(|x| x * 2.0 + 1.0).collect::<Vec<_>>()))
        })
    })
}

/// `a + b`, next to a loop in Rust into a new `Vec`.
pub(crate) fn i32_rust(name: &'static str) -> Row {
    let column = |batch: usize, by: i32| -> ArrayRef {
        Arc::new((0..ROWS as i32).map(|row| Some(batch as i32 + row * by)).collect::<Int32Array>())
    };
    let table = Table::new(|batch| vec![column(batch, 1), column(batch, 3)]);
    with_function("(a, b) => a + b", &table, DataType::Int32, |scope, function| {
        let ours = || call(scope, function, table.next());
        cpu_row(name, 6.0, ours, || -> ArrayRef {
            let columns = table.next();
            let [a, b] = [0, 1].map(|index: usize| columns[index].as_primitive::<Int32Type>().values());
            Arc::new(Int32Array::from(a.iter().zip(b).map(|(a, b)| a.wrapping_add(*b)).collect::<Vec<_>>()))
        })
    })
}

/// Columns with 10 % NULL, next to the same function over columns without.
pub(crate) fn nulls(name: &'static str) -> Row {
    let mut random = 7_u64;
    let mut is_valid = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        !(random >> 33).is_multiple_of(10)
    };
    let with_nulls = Table::new(|batch| {
        let rows = (0..ROWS).map(|row| is_valid().then_some((batch + row) as f64));
        vec![Arc::new(rows.collect::<Float64Array>())]
    });
    let without = Table::new(doubles);
    with_function(DOUBLE, &with_nulls, DataType::Float64, |scope, ours| {
        let types = [DataType::Float64];
        let peer = ScalarFunction::compile(scope, "f", DOUBLE, &types, DataType::Float64).expect("a function");
        let scope = RefCell::new(scope);
        let ours = || call(&mut scope.borrow_mut(), ours, with_nulls.next());
        cpu_row(name, 2.0, ours, || call(&mut scope.borrow_mut(), &peer, without.next()))
    })
}

/// A call of one row, next to a call of a whole batch.
pub(crate) fn one_row(name: &'static str) -> Row {
    let table = Table::new(doubles);
    let one = Table::new(|batch| vec![doubles(batch)[0].slice(5, 1)]);
    with_function(DOUBLE, &table, DataType::Float64, |scope, function| {
        let scope = RefCell::new(scope);
        let ours = || call(&mut scope.borrow_mut(), function, one.next());
        cpu_row(name, 0.15, ours, || call(&mut scope.borrow_mut(), function, table.next()))
    })
}
