//! `cargo bench -p offheap-cli --features v8 --bench map`: summing a file of 1 GiB as a `Uint32Array`, mapped and exposed
//! without a copy, beside reading it into memory first: in the same V8, and in Node where there is one. The function is
//! warmed, and the file in the page cache. Also `map-v8.json` in the target directory.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use benches::{Row, goals, profile_directory, table, to_json};
use offheap::{BackingStore, MapMode, Mapped, UniqueStore};
use offheap_v8::{Isolate, start};

const FILE_BYTES: usize = 1 << 30;
const ROUNDS: usize = 5;
const GOAL: f64 = 0.6;
/// What a tenth of the file's bytes, or of what reading takes, may be in anonymous memory.
const MEMORY_GOAL: f64 = 0.1;

const SUM: &str = "function sum(buffer) {
    const words = new Uint32Array(buffer);
    let total = 0;
    for (let i = 0; i < words.length; i++) total += words[i];
    return total;
}
for (let i = 0; i < 200; i++) sum(new ArrayBuffer(1 << 16));";

const IN_NODE: &str = "const fs = require('fs');
const begin = process.hrtime.bigint();
const bytes = fs.readFileSync(process.argv[1]);
const total = sum(bytes.buffer);
const taken = process.hrtime.bigint() - begin;
const memory = /RssAnon:\\s*(\\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1];
console.log([total, taken, memory].join(' '));";

/// One summing: its result, nanoseconds, and KiB of anonymous memory while the bytes are there.
struct Run {
    total: f64,
    taken_ns: f64,
    anonymous_kib: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    start("")?;
    let directory = profile_directory()?;
    let file = directory.join("map-1-gib.bin");
    let expected = write(&file)?;
    let measured = measure(&file, expected);
    fs::remove_file(&file)?;
    let (rows, memory) = measured?;
    println!("{}\n{}{memory}", table(&rows), goals(&rows));
    let report = directory.parent().unwrap_or(&directory).join("map-v8.json");
    fs::write(&report, format!("{:#}\n", to_json(&rows)))?;
    println!("written: {}", report.display());
    Ok(())
}

/// Writes the file, and answers the sum of its words.
fn write(file: &Path) -> Result<f64, Box<dyn Error>> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
    let mut total = 0.0;
    for word in 0..(FILE_BYTES / 4) as u32 {
        let word = word.wrapping_mul(0x9e37_79b9) >> 8;
        total += f64::from(word);
        out.write_all(&word.to_ne_bytes())?;
    }
    out.flush()?;
    Ok(total)
}

fn measure(file: &Path, expected: f64) -> Result<(Vec<Row>, String), Box<dyn Error>> {
    let mut isolate = Isolate::new()?;
    isolate.enter(|scope| scope.eval::<()>(SUM))?;
    let has_node = in_node(file)?.is_some();
    let (mut mapped, mut read, mut node) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        mapped.push(checked(by_mapping(&mut isolate, file)?, expected)?);
        read.push(checked(by_reading(&mut isolate, file)?, expected)?);
        if has_node {
            let run = in_node(file)?.ok_or("Node was there a moment ago")?;
            node.push(checked(run, expected)?);
        }
    }
    let mut rows = vec![row("v8_map_sum_1g_read", &mapped, &read)];
    let mut memory = memory_line("reading in the same V8", &mapped, &read);
    match has_node {
        true => {
            rows.push(row("v8_map_sum_1g_node", &mapped, &node));
            memory += &memory_line("Node", &mapped, &node);
        }
        false => memory += "v8_map_sum_1g_node: NOT MEASURED: there is no `node`\n",
    }
    Ok((rows, memory))
}

fn checked(run: Run, expected: f64) -> Result<Run, Box<dyn Error>> {
    if run.total == expected { Ok(run) } else { Err(format!("summed to {}, not {expected}", run.total).into()) }
}

fn by_mapping(isolate: &mut Isolate, file: &Path) -> Result<Run, Box<dyn Error>> {
    let begin = Instant::now();
    let mapped = Mapped::open(file, MapMode::ReadOnly)?;
    sum(isolate, mapped.store(), begin)
}

fn by_reading(isolate: &mut Isolate, file: &Path) -> Result<Run, Box<dyn Error>> {
    let begin = Instant::now();
    let store = BackingStore::from(UniqueStore::from_owner(fs::read(file)?)?);
    sum(isolate, &store, begin)
}

fn sum(isolate: &mut Isolate, store: &BackingStore, begin: Instant) -> Result<Run, Box<dyn Error>> {
    let run = isolate.enter(|scope| -> Result<Run, Box<dyn Error>> {
        let buffer = scope.expose(store)?;
        scope.set_global("bytes", &buffer)?;
        let total = scope.eval::<f64>("sum(bytes)")?;
        let taken_ns = begin.elapsed().as_nanos() as f64;
        let run = Run { total, taken_ns, anonymous_kib: anonymous_kib()? };
        scope.eval::<()>("void delete globalThis.bytes")?;
        Ok(run)
    })?;
    // What this run kept is gone before the next begins.
    isolate.enter(|scope| scope.collect());
    Ok(run)
}

/// `None` where there is no Node. It is started anew, and measures itself without its start.
fn in_node(file: &Path) -> Result<Option<Run>, Box<dyn Error>> {
    let program = format!("{SUM}\n{IN_NODE}");
    let node = Command::new("node").arg("-e").arg(program).arg(file).stdin(Stdio::null()).output();
    let output = match node {
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        output => output?,
    };
    let told = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = told.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [total, taken_ns, anonymous_kib] = numbers[..] else {
        return Err(format!("Node told {told:?} and {:?}", String::from_utf8_lossy(&output.stderr)).into());
    };
    Ok(Some(Run { total, taken_ns, anonymous_kib }))
}

fn anonymous_kib() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string(PathBuf::from("/proc/self/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The round with the median ratio.
fn row(name: &'static str, ours: &[Run], peer: &[Run]) -> Row {
    let mut rounds: Vec<(f64, f64)> =
        ours.iter().zip(peer).map(|(ours, peer)| (ours.taken_ns, peer.taken_ns)).collect();
    rounds.sort_by(|(ours_a, peer_a), (ours_b, peer_b)| (ours_a / peer_a).total_cmp(&(ours_b / peer_b)));
    let ratio = |&(ours, peer): &(f64, f64)| ours / peer;
    let spread = (ratio(&rounds[0]), ratio(&rounds[rounds.len() - 1]));
    let (ours_ns, peer_ns) = rounds[rounds.len() / 2];
    Row { name, goal: GOAL, ours_ns, peer_ns, ratio: ours_ns / peer_ns, spread }
}

fn memory_line(what: &str, ours: &[Run], peer: &[Run]) -> String {
    // The most of ours beside the least of the peer's.
    let most = ours.iter().map(|run| run.anonymous_kib).fold(0.0, f64::max) / 1024.0;
    let least = peer.iter().map(|run| run.anonymous_kib).fold(f64::INFINITY, f64::min) / 1024.0;
    let verdict = if most <= least * MEMORY_GOAL { "reached" } else { "MISSED" };
    format!("anonymous memory: {most:.1} MiB, {what}: {least:.1} MiB, to reach a tenth: {verdict}\n")
}
