//! Writes a stream as a ledger would, to try the reports with:
//!
//! ```console
//! $ cargo run --release -p offheap-report --example stream -- program 1000000 > target/million.jsonl
//! ```
//!
//! With a file that ends in `.html` as the last argument, it writes the page of the stream instead.

mod generate;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};

use offheap_report::{Html, Sink, Trace, follow};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let kind = words.first().map_or("program", String::as_str);
    if !kind.ends_with(".jsonl") && !generate::KINDS.contains(&kind) {
        return Err(format!("there is no kind of stream {kind:?}; there are {}", generate::KINDS.join(", ")).into());
    }
    let events = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(10_000);
    let Some(page) = words.iter().find(|word| word.ends_with(".html")) else {
        let mut out = BufWriter::new(io::stdout().lock());
        generate::stream(&mut out, kind, events)?;
        return Ok(out.flush()?);
    };
    let mut html = Html::new(BufWriter::new(File::create(page)?));
    let mut trace = Trace::default();
    let mut text = Vec::new();
    let input: Box<dyn io::BufRead> = if kind.ends_with(".jsonl") {
        Box::new(BufReader::new(File::open(kind)?))
    } else {
        generate::stream(&mut text, kind, events)?;
        Box::new(text.as_slice())
    };
    follow(kind, input, &mut trace, &mut html)?;
    Ok(html.finish(&trace)?)
}
