//! `cargo bench -p benches --bench ledger`: the cost of the ledger at each level, compared with the ledger that is linked and
//! off. Prints rows of `what | ours | peer | ratio`, and writes `ledger.json` to the target directory. `-- TEXT` selects the
//! rows whose names contain TEXT.
//!
//! A process has one observer for all of its life. So each side of a row is a child process, and the two take turns of about 1.5
//! milliseconds, one directly after the other. A row has eleven such pairs, and its ratio is the median of theirs. The children are
//! this program, except for the side without the ledger, which is the program `without-ledger`.

mod by_script;
mod page;

use std::error::Error;
use std::path::Path;

use benches::child::{self, Child, Work};
use benches::{Measure, Row, processes_row, run};
use offheap_ledger::{Builder, Level, install};

/// The nanoseconds that one event may add at level `Sites`, with a stack of 20 frames.
const EVENT_LIMIT: f64 = 300.0;
/// The bytes that a live store may add at level `Sites`.
const STORE_LIMIT: f64 = 128.0;
const SAMPLE_BYTES: u64 = 512 << 10;
/// So far apart that samples take no time: one in 16,384 stores of 4 KiB.
const RARE_SAMPLE_BYTES: u64 = 64 << 20;
/// So far apart that a row has no sample.
const NO_SAMPLE_BYTES: u64 = 1 << 50;
const TURN_NANOSECONDS: f64 = 1.5e6;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(level) = child::level() {
        match &*level {
            "off" => {}
            "counts" => {
                install(Level::Counts)?;
            }
            "sites" => drop(install(Level::Sites)?),
            by_script::WITH_SITES => {
                install(Level::Sites)?;
                return by_script::run();
            }
            by_script::OFF => return by_script::run(),
            page::PAGE => return page::make(),
            "sampled" => drop(Builder::new(Level::Sites).sample_bytes(SAMPLE_BYTES).install()?),
            "rare-samples" => drop(Builder::new(Level::Sites).sample_bytes(RARE_SAMPLE_BYTES).install()?),
            "between-samples" => drop(Builder::new(Level::Sites).sample_bytes(NO_SAMPLE_BYTES).install()?),
            other => return Err(format!("no level `{other}`").into()),
        }
        child::serve();
        return Ok(());
    }
    let all: [(&str, Measure); 7] = [
        ("ledger_off", off),
        ("ledger_counts", |name| beside_off(name, 1.15, "counts", Work::Small)),
        ("ledger_sampled", |name| beside_off(name, 1.05, "sampled", Work::FourKibibytes)),
        // What of it is not the samples' own time: their allocations change where malloc puts the stores.
        ("ledger_rare_samples", |name| beside_off(name, 1.05, "rare-samples", Work::FourKibibytes)),
        // What of it the stores pay that are no samples.
        ("ledger_between_samples", |name| beside_off(name, 1.05, "between-samples", Work::FourKibibytes)),
        ("ledger_8_threads", |name| beside_off(name, 1.2, "counts", Work::EightThreads)),
        ("ledger_sites", sites),
    ];
    run("ledger.json", &all, || {
        println!("{}", bytes_per_live_store()?);
        println!("{}", by_script::measure()?);
        println!("{}", page::report_html()?);
        Ok(())
    })
}

/// The ledger linked and off, and not linked.
fn off(name: &'static str) -> Row {
    let without = || Child::start(Path::new(env!("CARGO_BIN_EXE_without-ledger")), "off").expect("the other program");
    compare(name, 1.02, || (start("off"), without()), Work::Small)
}

fn beside_off(name: &'static str, goal: f64, level: &str, work: Work) -> Row {
    compare(name, goal, || (start(level), start("off")), work)
}

/// What an event adds at level `Sites`: half of what making and dropping a store adds. The goal is that time, so as a ratio it
/// depends on how long the two take at level off.
fn sites(name: &'static str) -> Row {
    let mut row = compare(name, 0.0, || (start("sites"), start("off")), Work::Deep);
    let added = |ours: f64| (ours - row.peer_ns) / 2.0;
    println!(
        "{name}: {:.0} ns added per event, to reach {EVENT_LIMIT:.0}: {}",
        added(row.ours_ns),
        verdict(added(row.ours_ns) <= EVENT_LIMIT)
    );
    row.goal = (row.peer_ns + 2.0 * EVENT_LIMIT) / row.peer_ns;
    row
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "MISSED" }
}

/// This program at a level.
fn start(level: &str) -> Child {
    let this = std::env::current_exe().expect("the path of this program");
    Child::start(&this, level).expect("this program again")
}

/// `start` starts both sides.
fn compare(name: &'static str, goal: f64, start: impl Fn() -> (Child, Child), work: Work) -> Row {
    processes_row(name, goal, || {
        let (mut ours, mut peer) = start();
        let (our_steps, peer_steps) = (steps_per_turn(&mut ours, work), steps_per_turn(&mut peer, work));
        (move || ours.turn(work, our_steps).0, move || peer.turn(work, peer_steps).0)
    })
}

/// How many steps take about as long as one turn; finding out is the warm-up.
fn steps_per_turn(child: &mut Child, work: Work) -> u32 {
    if matches!(work, Work::EightThreads) {
        // Far longer than starting eight threads takes.
        return 50_000;
    }
    let mut steps = 1000;
    for _ in 0..5 {
        let (per_step, _) = child.turn(work, steps);
        steps = (TURN_NANOSECONDS / per_step).clamp(1.0, 1e6) as u32;
    }
    steps
}

/// What a live store adds to the memory of the process at level `Sites`, for a million stores of one place.
fn bytes_per_live_store() -> Result<String, Box<dyn Error>> {
    const STORES: u32 = 1_000_000;
    let grown = |level: &str| {
        let mut child = start(level);
        let (_, before) = child.turn(Work::Keep, 1);
        let (_, after) = child.turn(Work::Keep, STORES);
        after.saturating_sub(before) as f64 / f64::from(STORES)
    };
    let bytes = grown("sites") - grown("off");
    let verdict = verdict(bytes <= STORE_LIMIT);
    Ok(format!("bytes per live store at level sites: {bytes:.0}, to reach {STORE_LIMIT:.0}: {verdict}"))
}
