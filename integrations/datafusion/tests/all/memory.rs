//! Owners of columns are dropped once, and memory does not grow with the number of batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, Float64Array, RecordBatch};
use datafusion::arrow::buffer::{Buffer, ScalarBuffer};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::MemTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use offheap_datafusion::sql;

use crate::{error, rows, session_with};

const ROWS: usize = 1000;

/// The owner of a column's memory. It counts its drops.
struct Owner {
    numbers: Vec<f64>,
    drops: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.numbers)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

/// A batch with a column `x`, over memory that an [`Owner`] has.
fn batch(drops: &Arc<AtomicUsize>) -> RecordBatch {
    let numbers = (0..ROWS).map(|n| n as f64).collect();
    let bytes = Bytes::from_owner(Owner { numbers, drops: Arc::clone(drops) });
    let column = Float64Array::new(ScalarBuffer::new(Buffer::from(bytes), 0, ROWS), None);
    RecordBatch::try_from_iter([("x", Arc::new(column) as ArrayRef)]).unwrap()
}

fn table(context: &SessionContext, partitions: Vec<Vec<RecordBatch>>) {
    let table = MemTable::try_new(partitions[0][0].schema(), partitions).unwrap();
    context.register_table("numbers", Arc::new(table)).unwrap();
}

const FUNCTIONS: [&str; 5] = [
    "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'x => x * 2 + 1'",
    "CREATE FUNCTION thrower(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'if (x > 500) throw new Error(); return x'",
    "CREATE FUNCTION endless(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'for (;;); return x'",
    "CREATE FUNCTION slow(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS
     'if (x % 10 === 0) { const end = Date.now() + 10; while (Date.now() < end); } return x'",
    "CREATE FUNCTION total(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS
     '{ state: { n: 0 }, step(st, x) { st.n += x }, merge(st, other) { st.n += other.n }, finish: st => st.n }'",
];

/// Queries that end, fail, take too long and are cancelled.
async fn queries(drops: &Arc<AtomicUsize>) {
    let context = session_with(SessionConfig::new().with_target_partitions(3));
    let partitions = (0..3).map(|_| (0..4).map(|_| batch(drops)).collect()).collect();
    table(&context, partitions);
    rows(&context, &FUNCTIONS).await;
    assert_eq!(rows(&context, &["SELECT sum(f(x)), total(x) FROM numbers"]).await, ["12000000.0,5994000.0"]);
    error(&context, &["SELECT sum(thrower(x)) FROM numbers"]).await;
    error(&context, &["SET js.time_limit_ms = 200", "SELECT sum(endless(x)) FROM numbers"]).await;
    // Four batches of a second each.
    rows(&context, &["SET js.time_limit_ms = 60000"]).await;
    let frame = sql(&context, "SELECT sum(slow(x)) FROM numbers").await.unwrap();
    let cancelled = tokio::time::timeout(Duration::from_millis(100), frame.collect()).await;
    assert!(cancelled.is_err(), "the query is cancelled in its middle");
    assert_eq!(drops.load(Ordering::Relaxed), 0, "the table has its columns");
}

#[test]
fn owners_are_dropped_once_when_their_threads_have_ended() {
    let drops = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&drops);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
        runtime.block_on(queries(&counted));
    });
    thread.join().unwrap();
    assert_eq!(drops.load(Ordering::Relaxed), 12);
}

#[tokio::test]
async fn what_waits_for_a_promise_runs_after_the_batch_and_is_not_kept() {
    let context = session_with(SessionConfig::new().with_target_partitions(1).with_batch_size(1000));
    // A hundred million bytes in all.
    let create = "CREATE FUNCTION waits(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS '(() => {
        let n = 0;
        return x => { Promise.resolve(new Array(100).fill(x)).then(() => n++); new WeakRef(new Array(100)); return n };
    })()'";
    let query = "SELECT max(waits(value)) FROM generate_series(1, 100000)";
    let most = rows(&context, &["SET js.heap_limit_mb = 16", create, query]).await;
    assert!(most[0].parse::<f64>().unwrap() >= 1000.0, "{most:?}");
}

/// Twenty batches, each of which is counted when it is asked for.
#[derive(Debug)]
struct Counted {
    batch: RecordBatch,
    asked: Arc<AtomicUsize>,
}

impl PartitionStream for Counted {
    fn schema(&self) -> &SchemaRef {
        self.batch.schema_ref()
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (batch, asked) = (self.batch.clone(), Arc::clone(&self.asked));
        let batches = std::iter::repeat_with(move || {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(batch.clone())
        });
        let stream = futures::stream::iter(batches.take(20));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.schema()), stream))
    }
}

#[test]
fn a_cancelled_query_stops_between_two_batches() {
    let asked = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    runtime.block_on(async {
        let context = session_with(SessionConfig::new().with_target_partitions(3));
        let partition = || Counted { batch: batch(&Arc::default()), asked: Arc::clone(&asked) };
        let partitions = (0..3).map(|_| Arc::new(partition()) as Arc<dyn PartitionStream>).collect();
        let table = StreamingTable::try_new(batch(&Arc::default()).schema(), partitions).unwrap();
        context.register_table("numbers", Arc::new(table)).unwrap();
        rows(&context, &FUNCTIONS).await;
        // Batches of a second.
        let frame = sql(&context, "SELECT sum(slow(x)) FROM numbers").await.unwrap();
        let cancelled = tokio::time::timeout(Duration::from_millis(300), frame.collect()).await;
        assert!(cancelled.is_err(), "the query is cancelled in its middle");
    });
    drop(runtime);
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked < 30, "{asked} of 60 batches");
}

/// In a process of its own, since other tests fill the heap.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_number_of_batches() {
    const ALONE: &str = "OFFHEAP_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(many_batches());
    }
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "memory::memory_does_not_grow_with_the_number_of_batches"]).env(ALONE, "1");
    let output = alone.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(target_os = "linux")]
async fn many_batches() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
    };
    let context = session_with(SessionConfig::new().with_target_partitions(1));
    const BATCHES: usize = 20_000;
    // All batches of the table are over the memory of one.
    table(&context, vec![vec![batch(&Arc::default()); BATCHES]]);
    rows(&context, &FUNCTIONS).await;
    let query = "SELECT sum(f(x)), total(x) FROM numbers";
    let first = rows(&context, &[query]).await;
    let before = resident();
    for _ in 0..4 {
        assert_eq!(rows(&context, &[query]).await, first);
    }
    let grown = resident().saturating_sub(before);
    // The results of the 80,000 batches are 640 MB.
    assert!(grown < 40 << 20, "{} MiB more", grown >> 20);
}
