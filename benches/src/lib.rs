//! Compares our code with a peer's, in one process. The two alternate, so that anything that slows the machine down
//! affects both.
#![forbid(unsafe_code)]

pub mod child;
mod report;

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use rustix::time::ClockId;
use serde_json::{Value, json};

pub use report::{Measure, profile_directory, run};

/// Rounds per row. The round with the median ratio is reported.
const ROUNDS: usize = 5;
/// Rounds of a row whose two sides are processes.
const PROCESSES: usize = 11;
/// Turns per round. In a turn, our code and the peer's run once each, one directly after the other, so a machine that
/// is slower for a while is slower for both. The result of a round is the turn with the median ratio.
const TURNS: usize = 41;
/// The duration of our code, or the peer's, in one turn.
const TURN: Duration = Duration::from_micros(1500);

/// The duration of the steps that are not measured, before the others.
const WARM_UP: Duration = Duration::from_millis(20);

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The largest acceptable value of ours / peer.
    pub goal: f64,
    /// Nanoseconds per step of our code.
    pub ours_ns: f64,
    /// Nanoseconds per step of the peer's code.
    pub peer_ns: f64,
    /// `ours_ns / peer_ns`.
    pub ratio: f64,
    /// The smallest and the largest ratio of a round.
    pub spread: (f64, f64),
}

/// Measures one step of our code and one step of the peer's.
pub fn row<A, B>(name: &'static str, goal: f64, mut ours: impl FnMut() -> A, mut peer: impl FnMut() -> B) -> Row {
    let (our_steps, peer_steps) = (steps_per_turn(&mut ours), steps_per_turn(&mut peer));
    let ours = || nanoseconds_per_step(our_steps, &mut ours);
    timed_row(name, goal, ours, || nanoseconds_per_step(peer_steps, &mut peer))
}

/// Measures turns of which only a part counts. Each closure performs one turn, of a millisecond or more, and returns
/// its nanoseconds per step.
pub fn timed_row(name: &'static str, goal: f64, mut ours: impl FnMut() -> f64, mut peer: impl FnMut() -> f64) -> Row {
    row_of(name, goal, (0..ROUNDS).map(|_| round(&mut ours, &mut peer)).collect())
}

/// Like [`timed_row`], with what `start` returns for each round: two closures that perform a turn. Where a process has its code,
/// its stack and its heap may cost more than what is measured. So each round has processes of its own.
pub fn processes_row<A: FnMut() -> f64, B: FnMut() -> f64>(
    name: &'static str,
    goal: f64,
    mut start: impl FnMut() -> (A, B),
) -> Row {
    let rounds = (0..PROCESSES).map(|_| {
        let (mut ours, mut peer) = start();
        round(&mut ours, &mut peer)
    });
    row_of(name, goal, rounds.collect())
}

fn round(ours: &mut impl FnMut() -> f64, peer: &mut impl FnMut() -> f64) -> Turn {
    median((0..TURNS).map(|turn| {
        // The second one finds caches and branch predictors as the first one left them, so they take turns at being
        // first.
        if turn % 2 == 0 {
            let ours_ns = ours();
            Turn { ours_ns, peer_ns: peer() }
        } else {
            let peer_ns = peer();
            Turn { ours_ns: ours(), peer_ns }
        }
    }))
}

fn row_of(name: &'static str, goal: f64, rounds: Vec<Turn>) -> Row {
    let spread = rounds.iter().fold((f64::INFINITY, 0.0), |(least, most), round| {
        (f64::min(least, round.ratio()), f64::max(most, round.ratio()))
    });
    let Turn { ours_ns, peer_ns } = median(rounds);
    Row { name, goal, ours_ns, peer_ns, ratio: ours_ns / peer_ns, spread }
}

/// Measures one step of our code and one step of the peer's, by the CPU time of the calling thread. Other threads, such as an
/// engine's, do not count, and neither do other programs.
pub fn cpu_row<A, B>(name: &'static str, goal: f64, mut ours: impl FnMut() -> A, mut peer: impl FnMut() -> B) -> Row {
    let (our_steps, peer_steps) = (steps_per_turn(&mut ours), steps_per_turn(&mut peer));
    let ours = || cpu_nanoseconds_per_step(our_steps, &mut ours);
    timed_row(name, goal, ours, || cpu_nanoseconds_per_step(peer_steps, &mut peer))
}

fn cpu_nanoseconds_per_step<R>(steps: u32, step: &mut impl FnMut() -> R) -> f64 {
    let begin = cpu_nanoseconds();
    for _ in 0..steps {
        black_box(&step());
    }
    (cpu_nanoseconds() - begin) / f64::from(steps)
}

/// The CPU time of the calling thread until now.
pub fn cpu_nanoseconds() -> f64 {
    nanoseconds_of(ClockId::ThreadCPUTime)
}

/// The CPU time of all threads of the process until now.
pub fn process_cpu_nanoseconds() -> f64 {
    nanoseconds_of(ClockId::ProcessCPUTime)
}

fn nanoseconds_of(clock: ClockId) -> f64 {
    let time = rustix::time::clock_gettime(clock);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

struct Turn {
    ours_ns: f64,
    peer_ns: f64,
}

impl Turn {
    fn ratio(&self) -> f64 {
        self.ours_ns / self.peer_ns
    }
}

/// How many steps take about as long as one turn, once the code is warm: an engine interprets and compiles the first steps.
fn steps_per_turn<R>(step: &mut impl FnMut() -> R) -> u32 {
    let begin = Instant::now();
    while begin.elapsed() < WARM_UP {
        black_box(&step());
    }
    let mut steps = 1;
    loop {
        // The least of several times: other programs use the CPU too.
        let step_ns = (0..3).map(|_| nanoseconds_per_step(steps, step)).fold(f64::INFINITY, f64::min);
        let taken = step_ns * f64::from(steps);
        let wanted = TURN.as_nanos() as f64;
        if taken >= wanted / 2.0 || steps > u32::MAX / 4 {
            return ((f64::from(steps) * wanted / taken) as u32).max(1);
        }
        steps *= 2;
    }
}

fn nanoseconds_per_step<R>(steps: u32, step: &mut impl FnMut() -> R) -> f64 {
    let begin = Instant::now();
    for _ in 0..steps {
        black_box(&step());
    }
    begin.elapsed().as_nanos() as f64 / f64::from(steps)
}

/// The one with the middle ratio, of an odd number.
fn median(turns: impl IntoIterator<Item = Turn>) -> Turn {
    let mut turns: Vec<Turn> = turns.into_iter().collect();
    turns.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
    turns.swap_remove(turns.len() / 2)
}

/// The rows as an aligned table: `what | ours | peer | ratio`.
pub fn table(rows: &[Row]) -> String {
    let mut table = format!("{:<29} | {:>12} | {:>12} | {:>5}\n", "what", "ours", "peer", "ratio");
    writeln!(table, "{:-<29}-|-{:->12}-|-{:->12}-|-{:->5}", "", "", "", "").expect("writing to a string never fails");
    for row in rows {
        let line = format!("{:<29} | {:>9.2} ns | {:>9.2} ns | {:>5.2}", row.name, row.ours_ns, row.peer_ns, row.ratio);
        writeln!(table, "{line}").expect("writing to a string never fails");
    }
    table
}

/// What to reach, and how far the rounds of one row were apart.
pub fn goals(rows: &[Row]) -> String {
    let mut goals = String::new();
    for Row { name, goal, ratio, spread: (least, most), .. } in rows {
        let verdict = if ratio <= goal { "reached" } else { "MISSED" };
        writeln!(goals, "{name:<29}   to reach {goal:.2}: {verdict} (rounds {least:.2} to {most:.2})")
            .expect("writing to a string never fails");
    }
    goals
}

/// The rows for a program to read.
pub fn to_json(rows: &[Row]) -> Value {
    let row =
        |row: &Row| json!({ "name": row.name, "ours_ns": row.ours_ns, "peer_ns": row.peer_ns, "ratio": row.ratio });
    rows.iter().map(row).collect()
}
