//! JavaScript functions next to DataFusion's own expressions: CPU time of the process, four million rows of Parquet.

use std::time::Duration;

use datafusion::common::Result;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use offheap_datafusion::{JavaScript, offheap_v8, sql};

const FUNCTIONS: [&str; 3] = [
    "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT IMMUTABLE AS 'x => x * 2 + 1'",
    "CREATE FUNCTION up(name VARCHAR) RETURNS VARCHAR LANGUAGE JAVASCRIPT IMMUTABLE AS 'name => name.toUpperCase()'",
    "CREATE FUNCTION geomean(x DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT IMMUTABLE AS $$ {
        state: { n: 0, s: 0 },
        step(st, x) { st.n++; st.s += Math.log(x) },
        merge(st, other) { st.n += other.n; st.s += other.s },
        finish(st) { return Math.exp(st.s / st.n) },
    } $$",
];

/// The name of a row of the table, and the two queries that it compares.
const PAIRS: [[&str; 3]; 3] = [
    ["sql_scalar", "SELECT sum(f(x)) FROM numbers", "SELECT sum(x * 2 + 1) FROM numbers"],
    [
        "sql_aggregate",
        "SELECT g, geomean(x) AS m FROM numbers GROUP BY g ORDER BY g",
        "SELECT g, exp(avg(ln(x))) AS m FROM numbers GROUP BY g ORDER BY g",
    ],
    ["sql_upper", "SELECT count(up(name)) FROM numbers", "SELECT count(upper(name)) FROM numbers"],
];

const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before the runtime makes threads: V8 does not run on threads that are older than it is.
    offheap_v8::start("")?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let config = SessionConfig::new().with_target_partitions(2);
        let builder = SessionStateBuilder::new().with_config(config).with_default_features();
        let context = SessionContext::new_with_state(JavaScript::install(builder).build());
        let file = std::env::temp_dir().join(format!("offheap-speed-{}.parquet", std::process::id()));
        let rows = "SELECT value * 0.5 + 1 AS x, value % 1000 AS g, 'name of row ' || CAST(value % 1000 + 1000 AS VARCHAR) AS name \
                    FROM generate_series(1, 4000000) AS t(value)";
        run(&context, &format!("COPY ({rows}) TO '{}' STORED AS PARQUET", file.display())).await?;
        run(&context, &format!("CREATE EXTERNAL TABLE numbers STORED AS PARQUET LOCATION '{}'", file.display())).await?;
        for create in FUNCTIONS {
            run(&context, create).await?;
        }
        println!("{:<14} {:>8} {:>12} {:>6}   CPU time of the process, medians of {ROUNDS}", "", "ours", "DataFusion's", "ratio");
        for [name, ours, theirs] in PAIRS {
            let mut times = [Vec::new(), Vec::new()];
            for round in 0..=ROUNDS {
                for (query, times) in [ours, theirs].into_iter().zip(&mut times) {
                    let before = cpu_time()?;
                    run(&context, query).await?;
                    // The first round reads the file into the system's cache.
                    if round > 0 {
                        times.push(cpu_time()? - before);
                    }
                }
            }
            let [ours, theirs] = times.map(median);
            let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
            println!("{name:<14} {:>5} ms {:>9} ms {ratio:>6.2}", ours.as_millis(), theirs.as_millis());
        }
        std::fs::remove_file(file)?;
        Ok(())
    })
}

async fn run(context: &SessionContext, statement: &str) -> Result<()> {
    sql(context, statement).await?.collect().await?;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The processor time of all threads of this process.
fn cpu_time() -> std::io::Result<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Duration::new(
        u64::try_from(time.tv_sec).map_err(std::io::Error::other)?,
        u32::try_from(time.tv_nsec).map_err(std::io::Error::other)?,
    ))
}
