//! Work that is measured in child processes. A process has one observer for all of its life, so each level of the ledger
//! needs a process of its own. The parent gives its children turns, one at a time.

use std::env;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use offheap::{BackingStore, UniqueStore};

/// Tells a process that it is a child, and names its level.
pub const LEVEL: &str = "OFFHEAP_BENCH_LEVEL";

/// What one step does.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Makes a store of 64 bytes and drops it.
    Small,
    /// Makes a store of 4 KiB and drops it.
    FourKibibytes,
    /// As `Small`, on eight threads at once. A step is one of each thread.
    EightThreads,
    /// As `Small`, below 20 frames of this program.
    Deep,
    /// Makes a store of 64 bytes that lives until the process ends.
    Keep,
}

const NAMES: [(&str, Work); 5] = [
    ("small", Work::Small),
    ("4k", Work::FourKibibytes),
    ("threads", Work::EightThreads),
    ("deep", Work::Deep),
    ("keep", Work::Keep),
];

const THREADS: u32 = 8;
const FRAMES: u32 = 20;

/// Does the turns that the parent asks for on stdin, until that is closed. A turn is a line `work steps`; the answer is a line
/// with the nanoseconds of the processor that it took (on eight threads: of the clock), and the bytes of memory that this process
/// has afterwards.
///
/// # Panics
/// If the parent asks for something else.
pub fn serve() {
    let mut places = Places::new();
    for line in io::stdin().lock().lines() {
        let line = line.expect("a line from the parent");
        let (name, steps) = line.split_once(' ').expect("a name and a number");
        let (_, work) = NAMES.iter().find(|(known, _)| *known == name).expect("a known work");
        places.change();
        let nanoseconds = turn(*work, steps.parse().expect("a number of steps"));
        println!("{nanoseconds} {}", resident_bytes());
    }
}

/// Memory that is in use while stores are measured. It decides where malloc puts these, and that decides how fast they are: a load
/// whose address is that of a store just before it, but for a multiple of 4 KiB, waits for it. Where a control block is such a load,
/// this is 10 %. Places that differ from turn to turn are the same luck for all children.
struct Places {
    random: fastrand::Rng,
    in_use: Vec<Vec<u8>>,
}

impl Places {
    fn new() -> Self {
        Places { random: fastrand::Rng::with_seed(1), in_use: Vec::new() }
    }

    fn change(&mut self) {
        // The first one fills the hole in which the last turn's stores were.
        for byte_length in [4096, 2048 + 16 * self.random.usize(..256)] {
            self.in_use.push(Vec::with_capacity(byte_length));
        }
    }
}

fn turn(work: Work, steps: u32) -> u128 {
    let mut kept = Vec::with_capacity(if matches!(work, Work::Keep) { steps as usize } else { 0 });
    // The time that other programs have the processor does not count.
    let begin = crate::cpu_nanoseconds();
    match work {
        Work::Small => repeat(steps, 64),
        Work::FourKibibytes => repeat(steps, 4096),
        Work::EightThreads => return on_threads(steps),
        Work::Deep => below_frames(FRAMES, steps),
        Work::Keep => kept.extend((0..steps).map(|_| UniqueStore::zeroed(64).expect("memory"))),
    }
    let taken = crate::cpu_nanoseconds() - begin;
    std::mem::forget(kept);
    taken as u128
}

fn repeat(steps: u32, byte_length: usize) {
    for _ in 0..steps {
        drop(black_box(BackingStore::from(UniqueStore::zeroed(black_box(byte_length)).expect("memory"))));
    }
}

/// The time from the moment when all threads are there until the last one has done its steps.
fn on_threads(steps: u32) -> u128 {
    let barrier = &Barrier::new(THREADS as usize + 1);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(move || {
                barrier.wait();
                repeat(steps, 64);
                barrier.wait();
            });
        }
        barrier.wait();
        let begin = Instant::now();
        barrier.wait();
        begin.elapsed().as_nanos()
    })
}

#[inline(never)]
fn below_frames(frames: u32, steps: u32) {
    match frames {
        0 => repeat(steps, 64),
        _ => below_frames(black_box(frames - 1), steps),
    }
    // So that the call above is none that reuses this frame.
    black_box(());
}

/// The memory of this process that is in use (`/proc/self/statm`), or 0 where that is not told.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// The level that the parent asked for, if this process is a child.
pub fn level() -> Option<String> {
    env::var(LEVEL).ok()
}

/// A child process, which waits for its turns.
pub struct Child {
    process: Process,
    turns: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Child {
    /// Starts `program` as a child that measures at this level.
    ///
    /// # Errors
    /// Those of starting a process.
    pub fn start(program: &Path, level: &str) -> io::Result<Self> {
        let mut process =
            Command::new(program).env(LEVEL, level).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (turns, answers) = (process.stdin.take(), process.stdout.take().expect("piped"));
        Ok(Child { process, turns, answers: BufReader::new(answers) })
    }

    /// Lets the child do that many steps. Returns the nanoseconds per step, and the child's memory in bytes afterwards.
    ///
    /// # Panics
    /// If the child has failed; its message is on stderr.
    pub fn turn(&mut self, work: Work, steps: u32) -> (f64, u64) {
        let (name, _) = NAMES.iter().find(|(_, known)| *known as u8 == work as u8).expect("named");
        let turns = self.turns.as_mut().expect("open until the drop");
        writeln!(turns, "{name} {steps}").expect("the child reads its turns");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the child answers");
        let (nanoseconds, bytes) = answer.trim().split_once(' ').expect("two numbers");
        let nanoseconds: f64 = nanoseconds.parse().expect("a number");
        (nanoseconds / f64::from(steps), bytes.parse().expect("a number"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The end of its input ends the child.
        self.turns = None;
        let _ = self.process.wait();
    }
}
