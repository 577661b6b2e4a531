//! Memory goes when it should.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap_arrow::arrow_array::{ArrayRef, Float64Array};
use offheap_arrow::arrow_buffer::{Buffer, ScalarBuffer};
use offheap_arrow::arrow_schema::DataType;
use offheap_arrow::offheap_v8::{ScopeExt, collect};
use offheap_arrow::{AggregateFunction, ScalarFunction};

use crate::kit::{doubles, in_v8, isolate_builder};

struct Counted(Vec<f64>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        offheap_arrow::arrow_buffer::ToByteSlice::to_byte_slice(&self.0[..])
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted(drops: &Arc<AtomicUsize>) -> ArrayRef {
    let bytes = bytes::Bytes::from_owner(Counted(vec![1.0, 2.0, 3.0], drops.clone()));
    Arc::new(Float64Array::new(ScalarBuffer::from(Buffer::from(bytes)), None))
}

#[test]
fn every_owner_is_dropped_once_whatever_happens() {
    let drops = Arc::new(AtomicUsize::new(0));
    let mut isolate = isolate_builder().build().unwrap();
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let text = "x => { if (x === 3) throw x; return x }";
            let f = ScalarFunction::compile(scope, "f", text, &[DataType::Float64], DataType::Float64).unwrap();
            for _ in 0..10 {
                assert!(f.call(scope, &[counted(&drops)], 3).is_err());
                assert!(f.call(scope, &[counted(&drops).slice(0, 2)], 2).is_ok());
            }
            drop(f);
            collect(scope);
        });
    });
    assert_eq!(drops.load(Ordering::Relaxed), 20);
    drop(isolate);
    assert_eq!(drops.load(Ordering::Relaxed), 20);
}

#[test]
fn every_owner_of_rows_and_of_states_is_dropped_once() {
    let drops = Arc::new(AtomicUsize::new(0));
    let mut isolate = isolate_builder().build().unwrap();
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let text = "({ state: { n: 0 }, step(st, x) { if (x === 3) throw x; st.n += x },
                merge(st, other) { if (other.n === 3) throw other; st.n += other.n }, finish: st => st.n })";
            let f = AggregateFunction::compile(scope, "f", text, &[DataType::Float64], DataType::Float64).unwrap();
            let mut groups = f.state().groups();
            for _ in 0..10 {
                assert!(f.update(scope, &mut groups, &[counted(&drops)], &[0, 1, 1], None, 2).is_err());
                assert!(f.update(scope, &mut groups, &[counted(&drops).slice(0, 2)], &[0, 1], None, 2).is_ok());
                assert!(f.merge(scope, &mut groups, &[counted(&drops)], &[0, 1, 1], 2).is_err());
                assert!(f.merge(scope, &mut groups, &[counted(&drops).slice(0, 2)], &[0, 1], 2).is_ok());
            }
            // Rows before an error count, so each group got its number 40 times.
            assert_eq!(*f.finish(scope, &mut groups, 2).unwrap(), *doubles([40.0, 80.0]));
            drop(f);
            collect(scope);
        });
    });
    assert_eq!(drops.load(Ordering::Relaxed), 40);
    drop(isolate);
    assert_eq!(drops.load(Ordering::Relaxed), 40);
}

#[test]
fn a_column_goes_with_the_isolate_at_the_latest() {
    let drops = Arc::new(AtomicUsize::new(0));
    in_v8(|scope| {
        let f = ScalarFunction::compile(scope, "f", "x => x", &[DataType::Float64], DataType::Float64).unwrap();
        f.call(scope, &[counted(&drops)], 3).unwrap();
    });
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

/// The memory of this process that is in use, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_flat_over_many_batches() {
    let batches = std::env::var("OFFHEAP_ARROW_BATCHES").map_or(10_000, |count| count.parse().expect("a number"));
    let values: Vec<f64> = (0..8192).map(f64::from).collect();
    let indices: Vec<usize> = (0..8192).map(|row| row % 1000).collect();
    in_v8(|scope| {
        let f = ScalarFunction::compile(scope, "f", "x => x", &[DataType::Float64], DataType::Float64).unwrap();
        let text = "({ state: { s: 0, v: new Float64Array(2) }, step(st, x) { st.s += x; st.v[1] += x },
            merge(st, other) {}, finish: st => st.v[1] - st.s })";
        let sum = AggregateFunction::compile(scope, "sum", text, &[DataType::Float64], DataType::Float64).unwrap();
        let mut groups = sum.state().groups();
        let mut before = 0;
        for batch in 0..batches {
            // A new column of 64 KiB each time.
            let column: ArrayRef = Arc::new(Float64Array::from(values.clone()));
            sum.update(scope, &mut groups, std::slice::from_ref(&column), &indices, None, 1000).unwrap();
            assert_eq!(f.call(scope, &[column], 8192).unwrap().len(), 8192);
            if batch == 1_000 {
                before = resident();
            }
        }
        // Without frees it would be over a gigabyte. Other tests run beside this one.
        let grown = resident().saturating_sub(before);
        assert!(grown < 400 << 20, "{} MiB more", grown >> 20);
        assert_eq!(*f.call(scope, &[doubles([1.0])], 1).unwrap(), *doubles([1.0]));
    });
}
