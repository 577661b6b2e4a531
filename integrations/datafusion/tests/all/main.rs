//! Statements, as a user writes them.

mod aggregate;
#[cfg(feature = "ballista")]
mod cluster;
mod create;
mod limits;
mod memory;
mod program;
mod scalar;
mod types;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use offheap_datafusion::{JavaScript, sql};

/// A session with JavaScript in it.
fn session() -> SessionContext {
    session_with(SessionConfig::new().with_target_partitions(2))
}

fn session_with(config: SessionConfig) -> SessionContext {
    let builder = SessionStateBuilder::new().with_config(config).with_default_features();
    SessionContext::new_with_state(JavaScript::install(builder).build())
}

/// Runs statements, and returns what the last one gives.
async fn run(context: &SessionContext, statements: &[&str]) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for statement in statements {
        batches = sql(context, statement).await?.collect().await?;
    }
    Ok(batches)
}

/// Runs statements, and returns the rows of the last one: columns are separated by commas, NULL is empty.
async fn rows(context: &SessionContext, statements: &[&str]) -> Vec<String> {
    let batches = run(context, statements).await.unwrap_or_else(|error| panic!("{error}"));
    let table = pretty_format_batches(&batches).unwrap().to_string();
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(1);
    let row = |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(",");
    lines.map(row).collect()
}

/// Runs statements of which the last one fails, and returns its error.
async fn error(context: &SessionContext, statements: &[&str]) -> DataFusionError {
    let (last, before) = statements.split_last().unwrap();
    run(context, before).await.unwrap_or_else(|error| panic!("{error}"));
    run(context, &[last]).await.expect_err(last)
}
