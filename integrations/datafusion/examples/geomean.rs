//! An aggregate in JavaScript, and a function for each row, over a Parquet file that this program writes.

use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use offheap_datafusion::{JavaScript, offheap_v8, sql};

const FUNCTIONS: [&str; 2] = [
    "CREATE FUNCTION geomean(x DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT IMMUTABLE AS $$ {
        state: { n: 0, logs: 0 },
        step(st, x) { st.n++; st.logs += Math.log(x) },
        merge(st, other) { st.n += other.n; st.logs += other.logs },
        finish(st) { return st.n === 0 ? null : Math.exp(st.logs / st.n) },
    } $$",
    "CREATE FUNCTION label(growth DOUBLE) RETURNS VARCHAR LANGUAGE JAVASCRIPT IMMUTABLE AS $$
        const percent = (growth - 1) * 100
        return `${percent < 0 ? '' : '+'}${percent.toFixed(2)} %`
    $$",
];

const QUERY: &str =
    "SELECT fund, count(*) AS years, label(geomean(growth)) AS yearly FROM growth GROUP BY fund ORDER BY fund";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before the runtime makes threads: V8 does not run on threads that are older than it is.
    offheap_v8::start("")?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let builder = SessionStateBuilder::new().with_default_features();
        let context = SessionContext::new_with_state(JavaScript::install(builder).build());

        let file = std::env::temp_dir().join(format!("offheap-geomean-{}.parquet", std::process::id()));
        let rows = "VALUES ('A', 1.10), ('A', 0.90), ('A', 1.20), ('B', 1.05), ('B', 1.05), ('B', 1.05), ('B', 1.05)";
        let write = format!("COPY (SELECT * FROM ({rows}) AS t(fund, growth)) TO '{}'", file.display());
        sql(&context, &write).await?.collect().await?;
        let table = format!("CREATE EXTERNAL TABLE growth STORED AS PARQUET LOCATION '{}'", file.display());
        sql(&context, &table).await?;

        for create in FUNCTIONS {
            sql(&context, create).await?;
        }
        println!("{}", sql(&context, QUERY).await?.to_string().await?);
        std::fs::remove_file(file)?;
        Ok(())
    })
}
