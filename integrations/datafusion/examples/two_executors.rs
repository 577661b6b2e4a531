//! A scheduler and two executors of Ballista, as processes on this machine, and a client that makes a function.
//!
//! Only the client knows the function: its definition travels in the plan.

use std::error::Error;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use datafusion::prelude::SessionContext;
use offheap_datafusion::{cluster, offheap_v8, sql};

const CREATE: &str = "CREATE FUNCTION celsius(fahrenheit DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT IMMUTABLE
    AS $$ return (fahrenheit - 32) / 1.8 $$";
const QUERY: &str = "SELECT day, count(*) AS rows, round(max(celsius(fahrenheit)), 2) AS warmest
    FROM weather GROUP BY day ORDER BY day";

fn main() -> Result<(), Box<dyn Error>> {
    // Before the runtime makes threads: V8 does not run on threads that are older than it is.
    offheap_v8::start("")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // This program starts itself again in the other roles.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    runtime.block_on(async {
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["scheduler", address] => Ok(cluster::scheduler(address.parse()?).await?),
            ["executor", scheduler] => Ok(cluster::executor(scheduler.parse()?).await?),
            _ => client().await,
        }
    })
}

async fn client() -> Result<(), Box<dyn Error>> {
    let scheduler = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let _scheduler = Process::start("scheduler", scheduler)?;
    while TcpStream::connect(scheduler).is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let _executors = [Process::start("executor", scheduler)?, Process::start("executor", scheduler)?];

    let folder = std::env::temp_dir().join(format!("offheap-two-executors-{}", std::process::id()));
    write_files(&folder).await?;
    let context = cluster::connect(&format!("df://{scheduler}")).await?;
    let table = format!("CREATE EXTERNAL TABLE weather STORED AS PARQUET LOCATION '{}/'", folder.display());
    for statement in [&table, CREATE] {
        sql(&context, statement).await?;
    }
    let frame = sql(&context, QUERY).await?;
    println!("{}", frame.to_string().await?);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// Writes a file for each of four days, each with 1,000 rows.
async fn write_files(folder: &Path) -> Result<(), Box<dyn Error>> {
    let here = SessionContext::new();
    for day in 1..=4 {
        let rows = format!(
            "SELECT {day} AS day, {day} * 10 + value * 0.05 AS fahrenheit FROM generate_series(1, 1000) AS t(value)"
        );
        let copy = format!("COPY ({rows}) TO '{}/{day}.parquet' STORED AS PARQUET", folder.display());
        here.sql(&copy).await?.collect().await?;
    }
    Ok(())
}

/// A process that ends with this value.
struct Process(Child);

impl Process {
    fn start(role: &str, scheduler: SocketAddr) -> std::io::Result<Process> {
        let program = std::env::current_exe()?;
        Ok(Process(Command::new(program).args([role, &scheduler.to_string()]).spawn()?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            let _ = self.0.wait();
        }
    }
}
