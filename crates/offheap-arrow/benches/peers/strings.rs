//! Columns of strings.

use std::sync::Arc;

use benches::{Row, cpu_row};
use offheap_arrow::arrow_array::builder::StringBuilder;
use offheap_arrow::arrow_array::cast::AsArray;
use offheap_arrow::arrow_array::{ArrayRef, StringArray};
use offheap_arrow::arrow_schema::DataType;

use crate::{ROWS, Table, call, with_function};

/// Upper case of 16 ASCII bytes, next to Rust's into a `StringBuilder`.
pub(crate) fn upper_rust(name: &'static str) -> Row {
    let table = Table::new(|batch| {
        let rows = (0..ROWS).map(|row| Some(format!("a name of {:06}", (batch + row) % 1_000_000)));
        vec![Arc::new(rows.collect::<StringArray>())]
    });
    with_function("x => x.toUpperCase()", &table, DataType::Utf8, |scope, function| {
        let ours = || call(scope, function, table.next());
        cpu_row(name, 3.5, ours, || -> ArrayRef {
            let strings = table.next()[0].as_string::<i32>();
            let mut builder = StringBuilder::with_capacity(ROWS, strings.values().len());
            strings.iter().for_each(|string| builder.append_option(string.map(str::to_uppercase)));
            Arc::new(builder.finish())
        })
    })
}
