//! Ours beside a peer's, in one process: alternately, so that whatever slows the machine down slows both down.
#![forbid(unsafe_code)]

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Rounds per row. What is told is the median of them.
const ROUNDS: usize = 5;
/// Turns per round. In a turn ours and the peer's run once each; a round is the median of its turns, so that a turn in
/// which the machine did something else does not count.
const TURNS: usize = 41;
/// How long ours, or the peer's, runs in one turn.
const TURN: Duration = Duration::from_micros(1500);

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What ours / peer should be at the most.
    pub goal: f64,
    /// Nanoseconds per step of ours.
    pub ours_ns: f64,
    /// Nanoseconds per step of the peer's.
    pub peer_ns: f64,
    /// `ours_ns / peer_ns`.
    pub ratio: f64,
    /// The least and the greatest ratio of a round.
    pub spread: (f64, f64),
}

/// Measures one step of ours beside one step of the peer's.
pub fn row<A, B>(name: &'static str, goal: f64, mut ours: impl FnMut() -> A, mut peer: impl FnMut() -> B) -> Row {
    let (our_steps, peer_steps) = (steps_per_turn(&mut ours), steps_per_turn(&mut peer));
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (mut our_turns, mut peer_turns) = (Vec::new(), Vec::new());
        for turn in 0..TURNS {
            // Whoever goes second finds caches and branch predictors as the other left them; so they take turns at it.
            if turn % 2 == 0 {
                our_turns.push(nanoseconds_per_step(our_steps, &mut ours));
                peer_turns.push(nanoseconds_per_step(peer_steps, &mut peer));
            } else {
                peer_turns.push(nanoseconds_per_step(peer_steps, &mut peer));
                our_turns.push(nanoseconds_per_step(our_steps, &mut ours));
            }
        }
        rounds.push((median(our_turns), median(peer_turns)));
    }
    let ours_ns = median(rounds.iter().map(|round| round.0).collect());
    let peer_ns = median(rounds.iter().map(|round| round.1).collect());
    let ratios = || rounds.iter().map(|(ours, peer)| ours / peer);
    let spread = (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max));
    Row { name, goal, ours_ns, peer_ns, ratio: ours_ns / peer_ns, spread }
}

/// How many steps take about as long as one turn; finding out is the warm-up.
fn steps_per_turn<R>(step: &mut impl FnMut() -> R) -> u32 {
    let mut steps = 1;
    loop {
        let taken = nanoseconds_per_step(steps, step) * f64::from(steps);
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

/// The middle one of an odd number of measurements.
fn median(mut measured: Vec<f64>) -> f64 {
    measured.sort_by(f64::total_cmp);
    measured[measured.len() / 2]
}

/// The rows as an aligned table: `what | ours | peer | ratio`.
pub fn table(rows: &[Row]) -> String {
    let mut table = format!("{:<18} | {:>12} | {:>12} | {:>5}\n", "what", "ours", "peer", "ratio");
    writeln!(table, "{:-<18}-|-{:->12}-|-{:->12}-|-{:->5}", "", "", "", "").expect("a string takes what is written");
    for row in rows {
        let line = format!("{:<18} | {:>9.2} ns | {:>9.2} ns | {:>5.2}", row.name, row.ours_ns, row.peer_ns, row.ratio);
        writeln!(table, "{line}").expect("a string takes what is written");
    }
    table
}

/// What to reach, and how far the rounds of one row were apart.
pub fn goals(rows: &[Row]) -> String {
    let mut goals = String::new();
    for Row { name, goal, ratio, spread: (least, most), .. } in rows {
        let verdict = if ratio <= goal { "reached" } else { "MISSED" };
        writeln!(goals, "{name:<18}   to reach {goal:.2}: {verdict} (rounds {least:.2} to {most:.2})")
            .expect("a string takes what is written");
    }
    goals
}

/// The rows for a program to read.
pub fn to_json(rows: &[Row]) -> Value {
    let row =
        |row: &Row| json!({ "name": row.name, "ours_ns": row.ours_ns, "peer_ns": row.peer_ns, "ratio": row.ratio });
    rows.iter().map(row).collect()
}
