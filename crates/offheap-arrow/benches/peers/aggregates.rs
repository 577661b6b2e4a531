//! Aggregates.

use benches::{Row, cpu_row};
use offheap_arrow::AggregateFunction;
use offheap_arrow::arrow_array::cast::AsArray;
use offheap_arrow::arrow_array::types::Float64Type;
use offheap_arrow::arrow_schema::DataType;
use offheap_arrow::offheap_v8::{Isolate, ScopeExt};

use crate::columns::doubles;
use crate::{ROWS, Table};

const GROUPS: usize = 1000;

/// Counts and sums by groups, next to a loop in Rust over the same columns of states.
pub(crate) fn sums(name: &'static str) -> Row {
    let text = "({ state: { n: 0, s: 0 }, step(st, x) { st.n++; st.s += x },
        merge(st, o) { st.n += o.n; st.s += o.s }, finish: st => st.s / st.n })";
    let table = Table::new(doubles);
    let indices: Vec<usize> = (0..ROWS).map(|row| row * 7919 % GROUPS).collect();
    let mut isolate = Isolate::new().expect("an isolate");
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let types = [DataType::Float64];
            let function = AggregateFunction::compile(scope, "f", text, &types, DataType::Float64);
            let function = function.expect("a function");
            let mut groups = function.state().groups();
            let (mut count, mut sum) = (vec![0.0; GROUPS], vec![0.0; GROUPS]);
            let ours = || function.update(scope, &mut groups, table.next(), &indices, None, GROUPS).expect("no throw");
            cpu_row(name, 4.0, ours, || {
                let values = table.next()[0].as_primitive::<Float64Type>().values();
                for (&group, &x) in indices.iter().zip(values) {
                    count[group] += 1.0;
                    sum[group] += x;
                }
            })
        })
    })
}
