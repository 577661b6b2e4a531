//! Calls functions of JavaScript for the rows of columns. docs/arrow.md shows parts of it.

use std::sync::Arc;

use offheap_arrow::arrow_array::{Array, ArrayRef, Float64Array, StringArray};
use offheap_arrow::arrow_schema::DataType::{Float64, Utf8};
use offheap_arrow::offheap_v8::{Isolate, ScopeExt, v8};
use offheap_arrow::{AggregateFunction, Error, ScalarFunction};

/// Prices with tax, and what they are called.
fn labels(scope: &mut v8::PinScope<'_, '_>, names: ArrayRef, prices: ArrayRef) -> Result<ArrayRef, Error> {
    let text = "(name, price) => `${name}: ${(price * 1.2).toFixed(2)}`";
    let label = ScalarFunction::compile(scope, "label", text, &[Utf8, Float64], Utf8)?; // once
    let row_count = names.len();
    label.call(scope, &[names, prices], row_count) // for each batch
}

/// A text as SQL has it: the body of a function.
fn with_names(scope: &mut v8::PinScope<'_, '_>) -> Result<ScalarFunction, Error> {
    let text = "if (price < 0) throw new RangeError(`a price of ${price}`)\nreturn price * 1.2";
    ScalarFunction::builder("taxed", text, &[Float64], Float64).parameter_names(["price"]).compile(scope)
}

/// The mean price of each kind of goods. `kinds` has the number of the kind for each row.
fn means(scope: &mut v8::PinScope<'_, '_>, prices: &[ArrayRef], kinds: &[usize]) -> Result<ArrayRef, Error> {
    let text = "({
        state: { n: 0, sum: 0 },
        step(st, price) { st.n++; st.sum += price },
        merge(st, other) { st.n += other.n; st.sum += other.sum },
        finish(st) { return st.n === 0 ? null : st.sum / st.n },
    })";
    let mean = AggregateFunction::compile(scope, "mean", text, &[Float64], Float64)?; // once
    let group_count = 3;
    let mut groups = mean.state().groups();
    mean.update(scope, &mut groups, prices, kinds, None, group_count)?; // for each batch
    mean.finish(scope, &mut groups, group_count)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut isolate = Isolate::new()?;
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let names: ArrayRef = Arc::new(StringArray::from(vec![Some("tea"), None, Some("coffee")]));
            let prices: ArrayRef = Arc::new(Float64Array::from(vec![2.5, 3.0, 4.0]));
            println!("{:?}", labels(scope, names, prices)?);
            let prices: ArrayRef = Arc::new(Float64Array::from(vec![2.5, -3.0]));
            println!("{:?}", means(scope, std::slice::from_ref(&prices), &[0, 2])?);
            println!("{}", with_names(scope)?.call(scope, &[prices], 2).unwrap_err());
            Ok(())
        })
    })
}
