//! A scheduler and two executors, as processes on this machine.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use datafusion::prelude::SessionContext;
use offheap_datafusion::cluster::connect;
use tempfile::TempDir;

use crate::aggregate::TOTAL;
use crate::{error, rows, run, session};

/// A process that ends with this value.
struct Process(Child);

impl Process {
    fn start(role: &str, scheduler: SocketAddr) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offheap-sql"));
        command.args([role, &scheduler.to_string()]).stdin(Stdio::null());
        Process(command.spawn().unwrap())
    }

    /// The processor time that it has used, in ticks.
    #[cfg(target_os = "linux")]
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let after_the_name = stat.rsplit_once(')').unwrap().1;
        after_the_name.split_whitespace().nth(11).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

struct Cluster {
    executors: [Process; 2],
    _scheduler: Process,
    context: SessionContext,
    files: TempDir,
}

const FILES: usize = 8;

/// A cluster, and a table `numbers` of several files.
async fn cluster() -> Cluster {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scheduler = Process::start("--scheduler", address);
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < Duration::from_secs(300), "the scheduler does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    let executors = [(); 2].map(|()| Process::start("--executor", address));
    let files = TempDir::new().unwrap();
    write_numbers(files.path()).await;
    let context = connect(&format!("df://{address}")).await.unwrap();
    // A task for each file. The machine may be busy.
    let tasks = format!("SET datafusion.execution.target_partitions = {FILES}");
    rows(&context, &[&table(files.path()), &tasks, "SET js.time_limit_ms = 60000"]).await;
    // Time for both executors to say that they are there.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Cluster { executors, _scheduler: scheduler, context, files }
}

async fn write_numbers(folder: &Path) {
    let context = session();
    for file in 0..FILES {
        let copy = format!(
            "COPY (SELECT value AS i, CASE WHEN value % 7 = 0 THEN NULL ELSE value * 0.25 END AS x \
             FROM generate_series({}, {}) AS t(value)) TO '{}/{file}.parquet' STORED AS PARQUET",
            file * 1000,
            file * 1000 + 999,
            folder.display()
        );
        rows(&context, &[&copy]).await;
    }
}

fn table(folder: &Path) -> String {
    format!("CREATE EXTERNAL TABLE numbers STORED AS PARQUET LOCATION '{}/'", folder.display())
}

const F: &str = "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT IMMUTABLE AS 'x => x * 2 + 1'";

#[tokio::test]
async fn two_executors_give_the_rows_of_one_process() {
    let cluster = cluster().await;
    let here = session();
    rows(&here, &[F, TOTAL, &table(cluster.files.path())]).await;
    rows(&cluster.context, &[F, TOTAL]).await;
    for query in [
        "SELECT count(f(x)), sum(f(x)) FROM numbers",
        "SELECT i, f(x) FROM numbers WHERE f(x) BETWEEN 100 AND 103 ORDER BY i",
        "SELECT i % 3 AS g, sum(f(x) + f(i)) FROM numbers GROUP BY g ORDER BY g",
        "SELECT f(i % 10) AS g, count(*) FROM numbers GROUP BY f(i % 10) ORDER BY g",
        "SELECT total(f(x)), total(i) FROM numbers",
        "SELECT i % 3 AS g, total(x) FROM numbers GROUP BY g ORDER BY g",
        "SELECT i, total(i) OVER (ORDER BY i) AS t FROM numbers WHERE i < 10 ORDER BY i",
        "SELECT count(*) FROM numbers AS a JOIN numbers AS b ON f(a.x) = f(b.x)",
    ] {
        assert_eq!(rows(&cluster.context, &[query]).await, rows(&here, &[query]).await, "{query}");
    }

    let slow = "CREATE FUNCTION slow(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS
        $$ if (x % 4 === 0) { const end = Date.now() + 1; while (Date.now() < end); } return 1 $$";
    rows(&cluster.context, &[slow]).await;
    let sum = "SELECT sum(slow(i)) FROM numbers";
    assert_eq!(rows(&cluster.context, &[sum]).await, ["8000.0"]);
    #[cfg(target_os = "linux")]
    for executor in &cluster.executors {
        // On a busy machine, one of them may do all of a query.
        for _ in 0..50 {
            if executor.ticks() > 20 {
                break;
            }
            assert_eq!(rows(&cluster.context, &[sum]).await, ["8000.0"]);
        }
        assert!(executor.ticks() > 20, "both executors have worked");
    }

    let thrower = "CREATE FUNCTION thrower(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS
        $$ if (x > 100) throw new RangeError('too large: ' + x); return x $$";
    let told = error(&cluster.context, &[thrower, "SELECT sum(thrower(x)) FROM numbers"]).await.to_string();
    assert!(told.contains("JavaScript function thrower: RangeError: too large: "), "{told}");

    let endless = "CREATE FUNCTION endless(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS 'for (;;); return x'";
    let limit = "SET js.time_limit_ms = 200";
    let told = error(&cluster.context, &[endless, limit, "SELECT sum(endless(x)) FROM numbers"]).await.to_string();
    assert!(told.contains("JavaScript function endless: stopped, since it ran longer than 200 ms"), "{told}");
    let longer = "SET js.time_limit_ms = 60000";
    assert_eq!(rows(&cluster.context, &[longer, "SELECT f(max(i)) FROM numbers"]).await, ["15999.0"]);
}

#[tokio::test]
async fn a_query_survives_an_executor_or_ends_with_an_error() {
    let mut cluster = cluster().await;
    let slow = "CREATE FUNCTION slow(x DOUBLE) RETURNS DOUBLE LANGUAGE JS AS
        $$ if (x % 2 === 0) { const end = Date.now() + 1; while (Date.now() < end); } return x $$";
    rows(&cluster.context, &[slow]).await;
    let query = loop {
        #[cfg(target_os = "linux")]
        let idle = cluster.executors[0].ticks();
        let context = cluster.context.clone();
        let query = tokio::spawn(async move { run(&context, &["SELECT sum(slow(i)) FROM numbers"]).await });
        #[cfg(target_os = "linux")]
        while cluster.executors[0].ticks() < idle + 10 && !query.is_finished() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if !query.is_finished() {
            break query;
        }
        // On a busy machine, the other executor may do all of a query.
        query.await.unwrap().unwrap();
    };
    cluster.executors[0].0.kill().unwrap();
    match tokio::time::timeout(Duration::from_secs(120), query).await.expect("it ends").unwrap() {
        Ok(batches) => {
            let table = datafusion::arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
            assert!(table.contains("31996000.0"), "{table}");
        }
        Err(error) => assert!(!error.to_string().contains("JavaScript"), "{error}"),
    }
    // The other executor still works.
    assert_eq!(rows(&cluster.context, &["SELECT count(slow(i)) FROM numbers WHERE i < 10"]).await, ["10"]);
}
