//! `offheap-sql`: SQL with JavaScript functions, in this process or on a cluster of Ballista.

use std::process::ExitCode;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::common::Result;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use offheap_datafusion::{JavaScript, offheap_v8, sql};

const HELP: &str = "\
offheap-sql: SQL with JavaScript functions (CREATE FUNCTION … LANGUAGE JAVASCRIPT), on DataFusion

offheap-sql STATEMENT...                 runs statements, and prints the rows of each
offheap-sql --connect URL STATEMENT...   runs queries on the cluster of the scheduler at df://HOST:PORT
offheap-sql --scheduler HOST:PORT        is the scheduler of a cluster, at this address
offheap-sql --executor HOST:PORT         is an executor of the scheduler at this address

A table is a file: CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'file.parquet'
The status is 1 after an error of a statement, and 2 after a mistake in the arguments.
";

enum Task {
    Help,
    Statements { cluster: Option<String>, statements: Vec<String> },
    Scheduler(String),
    Executor(String),
}

fn main() -> ExitCode {
    let task = match parse(std::env::args().skip(1).collect()) {
        Ok(task) => task,
        Err(mistake) => {
            eprintln!("offheap-sql: {mistake}; --help shows what there is");
            return ExitCode::from(2);
        }
    };
    match start(task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("offheap-sql: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: Vec<String>) -> Result<Task, String> {
    let mut arguments = arguments.into_iter().peekable();
    let Some(first) = arguments.next_if(|argument| is_option(argument)) else {
        return statements(None, arguments.collect());
    };
    let mut value = || arguments.next().ok_or(format!("{first} needs an address"));
    let task = match first.as_str() {
        "--help" | "-h" => Task::Help,
        "--connect" => {
            let url = value()?;
            if !url.starts_with("df://") {
                return Err(format!("--connect needs df://HOST:PORT, and not {url:?}"));
            }
            return statements(Some(url), arguments.collect());
        }
        "--scheduler" => Task::Scheduler(value()?),
        "--executor" => Task::Executor(value()?),
        _ => return Err(format!("there is no option {first}")),
    };
    match arguments.next() {
        Some(more) => Err(format!("{more:?} is one argument too many")),
        None => Ok(task),
    }
}

/// Whether an argument is no statement. A statement may begin with a comment, `--` and text, but has a space or a line's end.
fn is_option(argument: &str) -> bool {
    argument.starts_with('-') && !argument.contains(char::is_whitespace)
}

fn statements(cluster: Option<String>, statements: Vec<String>) -> Result<Task, String> {
    match statements.is_empty() {
        true => Err("there is no statement".to_owned()),
        false => Ok(Task::Statements { cluster, statements }),
    }
}

fn start(task: Task) -> Result<(), Box<dyn std::error::Error>> {
    // Before the runtime makes threads: V8 does not run on threads that are older than it is.
    offheap_v8::start("")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match task {
            Task::Help => print!("{HELP}"),
            Task::Statements { cluster: None, statements } => {
                let builder = SessionStateBuilder::new().with_default_features();
                let context = SessionContext::new_with_state(JavaScript::install(builder).build());
                run(&context, &statements).await?;
            }
            Task::Statements { cluster: Some(url), statements } => run(&connect(&url).await?, &statements).await?,
            Task::Scheduler(address) => scheduler(&address).await?,
            Task::Executor(address) => executor(&address).await?,
        }
        Ok(())
    })
}

async fn run(context: &SessionContext, statements: &[String]) -> Result<()> {
    for statement in statements {
        let frame = sql(context, statement).await?;
        let has_columns = !frame.schema().fields().is_empty();
        let batches = frame.collect().await?;
        if has_columns {
            println!("{}", pretty_format_batches(&batches)?);
        }
    }
    Ok(())
}

#[cfg(feature = "ballista")]
use on_a_cluster::{connect, executor, scheduler};

#[cfg(feature = "ballista")]
mod on_a_cluster {
    use std::net::{SocketAddr, ToSocketAddrs};

    use datafusion::common::Result;
    pub(crate) use offheap_datafusion::cluster::connect;

    fn address(text: &str) -> Result<SocketAddr> {
        let first = text.to_socket_addrs()?.next();
        Ok(first.ok_or_else(|| std::io::Error::other(format!("{text} has no address")))?)
    }

    pub(crate) async fn scheduler(text: &str) -> Result<()> {
        offheap_datafusion::cluster::scheduler(address(text)?).await
    }

    pub(crate) async fn executor(text: &str) -> Result<()> {
        offheap_datafusion::cluster::executor(address(text)?).await
    }
}

#[cfg(not(feature = "ballista"))]
use without_clusters::{connect, executor, scheduler};

#[cfg(not(feature = "ballista"))]
mod without_clusters {
    use datafusion::common::{Result, not_impl_err};
    use datafusion::prelude::SessionContext;

    pub(crate) async fn connect(url: &str) -> Result<SessionContext> {
        not_impl_err!("{url}: offheap-sql was built without the feature ballista")
    }

    pub(crate) async fn scheduler(address: &str) -> Result<()> {
        connect(address).await.map(|_| ())
    }

    pub(crate) async fn executor(address: &str) -> Result<()> {
        connect(address).await.map(|_| ())
    }
}
