//! `cargo bench -p offheap-arrow --features v8 --bench peers`: functions of JavaScript over columns, compared with loops in Rust, by
//! the CPU time of the calling thread. Prints rows of `what | ours | peer | ratio`, and writes `peers-arrow.json` to the target
//! directory. `-- TEXT` selects the rows whose names contain TEXT. `peers-arrow` has the rows whose peers are other crates.
#![forbid(unsafe_code)]

mod aggregates;
mod columns;
mod strings;
mod vectors;

use std::cell::Cell;
use std::error::Error;

use benches::{Measure, run};
use offheap_arrow::ScalarFunction;
use offheap_arrow::arrow_array::{Array, ArrayRef};
use offheap_arrow::arrow_schema::DataType;
use offheap_arrow::offheap_v8::{self, Isolate, ScopeExt, v8};

/// The rows of a batch.
const ROWS: usize = 8_192;

fn main() -> Result<(), Box<dyn Error>> {
    offheap_v8::start("")?;
    let all: [(&str, Measure); 8] = [
        ("column_f64_rust", columns::f64_rust),
        ("column_i32_rust", columns::i32_rust),
        ("column_nulls", columns::nulls),
        ("strings_upper_rust", strings::upper_rust),
        ("strings_upper_v8", strings::upper_v8),
        ("vectors_dot_384", vectors::dot_384),
        ("one_row", columns::one_row),
        ("aggregate_rust", aggregates::sums),
    ];
    run("peers-arrow.json", &all, || Ok(()))
}

/// The batches of a table, more than the caches of a CPU have, one after the other.
struct Table {
    batches: Vec<Vec<ArrayRef>>,
    next: Cell<usize>,
}

impl Table {
    const BATCHES: usize = 512;

    fn new(batch: impl FnMut(usize) -> Vec<ArrayRef>) -> Self {
        Table { batches: (0..Self::BATCHES).map(batch).collect(), next: Cell::new(0) }
    }

    /// The columns of the next batch.
    fn next(&self) -> &[ArrayRef] {
        let next = self.next.get();
        self.next.set((next + 1) % self.batches.len());
        &self.batches[next]
    }
}

/// Makes a function for the columns of a table, and gives it to `work`.
fn with_function<R>(
    text: &str,
    table: &Table,
    result: DataType,
    work: impl FnOnce(&mut v8::PinScope<'_, '_>, &ScalarFunction) -> R,
) -> R {
    let types: Vec<_> = table.batches[0].iter().map(|column| column.data_type().clone()).collect();
    let builder = Isolate::builder().buffer_alignment(64).max_young_bytes(12 << 20);
    let mut isolate = builder.build().expect("an isolate");
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let function = ScalarFunction::compile(scope, "f", text, &types, result).expect("a function");
            work(scope, &function)
        })
    })
}

fn call(scope: &mut v8::PinScope<'_, '_>, function: &ScalarFunction, columns: &[ArrayRef]) -> ArrayRef {
    function.call(scope, columns, columns[0].len()).expect("it does not throw")
}
