//! `report_html`: a stream of a million events becomes a page, in a process of its own, whose memory nothing else changes.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use benches::child::LEVEL;
use offheap_report::{Html, Sink, Trace, follow};

use crate::verdict;

#[path = "../../../crates/offheap-report/examples/stream/generate.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
mod generate;

const EVENTS: u64 = 1_000_000;
const SECONDS_LIMIT: f64 = 5.0;
const MEBIBYTES_LIMIT: f64 = 200.0;

/// The level of the process that makes the page.
pub(crate) const PAGE: &str = "page";

/// Writes the stream, lets another process make the page, and says what that took.
pub(crate) fn report_html() -> Result<String, Box<dyn Error>> {
    let stream = stream_file();
    let mut out = BufWriter::new(File::create(&stream)?);
    generate::stream(&mut out, "program", EVENTS)?;
    out.flush()?;
    let made = Command::new(std::env::current_exe()?).env(LEVEL, PAGE).output()?;
    fs::remove_file(&stream)?;
    let said = String::from_utf8(made.stdout)?;
    let (seconds, mebibytes) = said.trim().split_once(' ').ok_or("the other process said nothing")?;
    let (seconds, mebibytes): (f64, f64) = (seconds.parse()?, mebibytes.parse()?);
    Ok(format!(
        "report_html: {EVENTS} events to a page: {seconds:.1} s, {mebibytes:.0} MiB; to reach {SECONDS_LIMIT:.0} s, \
         {MEBIBYTES_LIMIT:.0} MiB: {}",
        verdict(seconds <= SECONDS_LIMIT && mebibytes <= MEBIBYTES_LIMIT)
    ))
}

/// Makes the page, and prints the seconds and the mebibytes that it took.
pub(crate) fn make() -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let (mut trace, mut html) = (Trace::default(), Html::new(std::io::sink()));
    follow("the stream", BufReader::new(File::open(stream_file())?), &mut trace, &mut html)?;
    html.finish(&trace)?;
    println!("{} {}", begin.elapsed().as_secs_f64(), peak_mebibytes()?);
    Ok(())
}

fn stream_file() -> PathBuf {
    std::env::temp_dir().join("offheap-bench-million.jsonl")
}

/// The most memory that this process had (`VmHWM`); 0 where that is not told.
fn peak_mebibytes() -> Result<f64, Box<dyn Error>> {
    if !Path::new("/proc/self/status").exists() {
        return Ok(0.0);
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the kernel says no peak")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
