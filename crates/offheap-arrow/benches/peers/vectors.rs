//! Columns of vectors.

use std::sync::Arc;

use benches::{Row, cpu_row};
use offheap_arrow::arrow_array::cast::AsArray;
use offheap_arrow::arrow_array::types::Float32Type;
use offheap_arrow::arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Float64Array};
use offheap_arrow::arrow_schema::{DataType, Field};

use crate::{Table, call, with_function};

const LENGTH: usize = 384;
/// The rows of a batch here: 384 KiB a column.
const ROWS: usize = 256;

fn vectors(batch: usize, by: usize) -> ArrayRef {
    let values: Float32Array = (0..ROWS * LENGTH).map(|item| Some(((batch + item * by) % 100) as f32)).collect();
    let field = Arc::new(Field::new("item", DataType::Float32, false));
    Arc::new(FixedSizeListArray::new(field, LENGTH as i32, Arc::new(values), None))
}

/// The dot product of two vectors of 384 `f32`s, next to a loop in Rust that adds `f64`s in the same order.
pub(crate) fn dot_384(name: &'static str) -> Row {
    let table = Table::new(|batch| vec![vectors(batch, 3), vectors(batch, 7)]);
    let text = "(a, b) => { let sum = 0; for (let i = 0; i < a.length; i++) sum += a[i] * b[i]; return sum }";
    with_function(text, &table, DataType::Float64, |scope, function| {
        // V8 optimizes the loop around the function only after about 250 batches. Until then a batch takes up to three times as long.
        for _ in 0..Table::BATCHES {
            call(scope, function, table.next());
        }
        let ours = || call(scope, function, table.next());
        cpu_row(name, 1.5, ours, || -> ArrayRef {
            let columns = table.next();
            let [a, b] = [0, 1].map(|index: usize| {
                columns[index].as_fixed_size_list().values().as_primitive::<Float32Type>().values()
            });
            let dot =
                |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let sums = a.chunks_exact(LENGTH).zip(b.chunks_exact(LENGTH)).map(dot);
            Arc::new(Float64Array::from(sums.collect::<Vec<f64>>()))
        })
    })
}
