//! `x * 2 + 1` over a column of a million `f64`s in batches: in script, in script without copies, and in Rust.

use std::hint::black_box;

use benches::{Row, row};
use offheap_v8::BackingStoreExt;
use offheap_v8::offheap::{BackingStore, UniqueStore};
use offheap_v8::v8::{self, Local, PinScope};

use crate::isolate::{function, in_isolate};

const ROWS: usize = 1 << 20;
const BATCH: usize = 8_192;
const SOURCE: &str = "(input, output) => {
    const x = new Float64Array(input), y = new Float64Array(output);
    for (let i = 0; i < x.length; i++) y[i] = x[i] * 2 + 1;
}";

/// One step is the whole column.
pub(crate) fn column_f64(name: &'static str) -> Row {
    let numbers: Vec<f64> = (0..ROWS).map(|index| index as f64).collect();
    let input = BackingStore::from(UniqueStore::from_owner(numbers.clone()).expect("room"));
    let output = BackingStore::from(UniqueStore::from_owner(vec![0.0_f64; ROWS]).expect("room"));
    let mut by_rust = vec![0.0_f64; ROWS];
    let row = in_isolate(|scope| {
        let map = function(scope, SOURCE);
        let ours = || (0..ROWS / BATCH).for_each(|batch| by_script(scope, map, &input, &output, batch));
        row(name, 5.0, ours, || {
            for (from, to) in black_box(&numbers).chunks(BATCH).zip(black_box(&mut by_rust).chunks_mut(BATCH)) {
                from.iter().zip(to).for_each(|(from, to)| *to = from * 2.0 + 1.0);
            }
        })
    });
    assert!(output.copy_out::<f64>().expect("no guard writes") == by_rust, "both have the same results");
    row
}

fn by_script(
    scope: &mut PinScope<'_, '_>,
    map: Local<'_, v8::Function>,
    input: &BackingStore,
    output: &BackingStore,
    batch: usize,
) {
    v8::scope!(let scope, scope);
    let (begin, end) = (batch * BATCH * size_of::<f64>(), (batch + 1) * BATCH * size_of::<f64>());
    let input = input.slice(begin..end).expect("in range").expose(scope).expect("room for a buffer");
    let output = output.slice(begin..end).expect("in range").expose(scope).expect("room for a buffer");
    let nothing = v8::undefined(scope).into();
    let map = Local::new(scope, map);
    map.call(scope, nothing, &[input.into(), output.into()]).expect("it does not throw");
}
