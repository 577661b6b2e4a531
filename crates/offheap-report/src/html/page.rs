//! Puts what was kept into the page.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use rustc_hash::FxHashMap;

use super::bar::{Bar, KINDS};
use super::chart::Place;
use super::names::{NONE, Names, Origin, cut};
use super::{Html, Process, data, keep};
use crate::format::{Frame, Labels};
use crate::{Store, Trace};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = concat!(
    include_str!("model.js"),
    include_str!("dom.js"),
    include_str!("summary.js"),
    include_str!("chart.js"),
    include_str!("buffers.js"),
    include_str!("places.js"),
    include_str!("detail.js"),
    include_str!("main.js"),
);

/// How many places of a process the page shows, and how many of these have a line in its chart.
const PLACES: usize = 1_000;
const LINES: usize = 8;

/// What the stores of a page may have together, so that it stays small: steps, frames, and references.
const STEPS: usize = 100_000;
const FRAMES: usize = 300_000;
const REFERENCES: usize = 20_000;

/// What one stack, store or process has at most.
const DEEPEST: usize = 64;
const FEW: usize = 16;

/// The texts, frames, stacks, threads and isolates that the page refers to.
struct Shared<'a> {
    names: &'a Names,
    trace: &'a Trace,
    /// All that lines named. The page has those of its stores and errors: a program may have a thread for each request.
    all_threads: &'a [(usize, u64)],
    all_isolates: &'a [(usize, u64, u32, u32)],
    threads: FxHashMap<u32, i64>,
    isolates: FxHashMap<u32, i64>,
    words: FxHashMap<u32, u32>,
    frames: FxHashMap<Frame, u32>,
    stacks: FxHashMap<u32, i64>,
    /// For each stack that lines named: its frames, if the stream told them.
    told: Vec<Option<&'a [Frame]>>,
    room: usize,
    page: data::Page,
}

impl Shared<'_> {
    fn word(&mut self, name: u32) -> i64 {
        if name == NONE {
            return -1;
        }
        let words = &mut self.page.words;
        let number = *self.words.entry(name).or_insert_with(|| {
            words.push(self.names.text(name).as_ref().to_owned());
            words.len() as u32 - 1
        });
        i64::from(number)
    }

    fn text(&mut self, text: Option<&str>) -> i64 {
        let Some(text) = text else { return -1 };
        self.page.words.push(cut(text).to_owned());
        self.page.words.len() as i64 - 1
    }

    fn thread(&mut self, thread: u32) -> i64 {
        let Some(&(process, number)) = self.all_threads.get(thread as usize) else { return -1 };
        let threads = &mut self.page.threads;
        *self.threads.entry(thread).or_insert_with(|| {
            let name = self.trace.processes()[process].thread(number);
            threads.push((process, number, name.map(|name| cut(name).to_owned())));
            threads.len() as i64 - 1
        })
    }

    fn isolate(&mut self, isolate: u32) -> i64 {
        let Some(&(process, number, engine, name)) = self.all_isolates.get(isolate as usize) else { return -1 };
        if let Some(&known) = self.isolates.get(&isolate) {
            return known;
        }
        let (engine, name) = (self.word(engine), self.word(name));
        self.page.isolates.push((process, number, engine, name));
        let known = self.page.isolates.len() as i64 - 1;
        self.isolates.insert(isolate, known);
        known
    }

    /// The thread that a process calls so.
    fn thread_of(&mut self, process: &Process, thread: Option<u64>) -> i64 {
        let known = thread.and_then(|thread| process.threads.get(&thread));
        known.map_or(-1, |&known| self.thread(known))
    }

    /// A place, or the first place of a stack.
    fn origin(&mut self, origin: Origin) -> i64 {
        match origin {
            Origin::Site(name) => self.word(name),
            Origin::Stack(stack) => {
                let frames = self.told.get(stack as usize).copied().flatten();
                let site = frames.and_then(|frames| frames.iter().find_map(|frame| frame.site.as_deref()));
                self.text(site)
            }
            Origin::Unknown => -1,
        }
    }

    fn stack(&mut self, stack: u32) -> i64 {
        let Some(frames) = self.told.get(stack as usize).copied().flatten() else { return -1 };
        if let Some(&known) = self.stacks.get(&stack) {
            return known;
        }
        let frames = &frames[..frames.len().min(DEEPEST)];
        let number = match self.room.checked_sub(frames.len()) {
            Some(room) => {
                self.room = room;
                let frames = frames.iter().map(|frame| self.frame(frame)).collect();
                self.page.stacks.push(frames);
                self.page.stacks.len() as i64 - 1
            }
            None => -1,
        };
        self.stacks.insert(stack, number);
        number
    }

    fn frame(&mut self, frame: &Frame) -> u32 {
        if let Some(&known) = self.frames.get(frame) {
            return known;
        }
        let (function, site) = (self.text(frame.function.as_deref()), self.text(frame.site.as_deref()));
        self.page.frames.push((function, site, frame.address.map(|address| format!("{address:#x}"))));
        let number = self.page.frames.len() as u32 - 1;
        self.frames.insert(frame.clone(), number);
        number
    }
}

impl<W: Write> Html<W> {
    pub(super) fn write(&mut self, trace: &Trace) -> io::Result<()> {
        let mut bars = self.live_bars(trace);
        bars.extend(self.kept.take());
        // What comes first keeps its history if there is not room for all.
        bars.sort_by_key(|bar| (Reverse((bar.has_error, bar.died.is_none(), bar.bytes)), bar.process, bar.store));
        let page = self.page(trace, bars);
        let (head, rest) = halves(PAGE, "{style}");
        let (middle, rest) = halves(rest, "{data}");
        let (before_script, tail) = halves(rest, "{script}");
        write!(self.out, "{head}{STYLE}{middle}")?;
        data::write(&mut self.out, &page)?;
        write!(self.out, "{before_script}{SCRIPT}{tail}")?;
        self.out.flush()
    }

    /// Sums up what lives, and makes the bars of the largest.
    fn live_bars(&mut self, trace: &Trace) -> Vec<Bar> {
        let mut largest = BinaryHeap::new();
        for store in trace.live_stores() {
            let key = (store.process, store.number);
            let Some(live) = self.live.get(&key) else { continue };
            if is_leak(trace, store) {
                let place = self.processes[store.process].chart.places.entry(live.origin).or_default();
                place.leaked += store.weight;
                place.leaked_bytes += store.weight * store.bytes as f64;
            }
            largest.push(Reverse((live.has_error, !store.is_static, store.bytes, key)));
            if largest.len() > keep::EACH {
                largest.pop();
            }
        }
        let mut bars = Vec::with_capacity(largest.len());
        for Reverse((.., key)) in largest {
            let Some(live) = self.live.remove(&key) else { continue };
            if let Some(store) = trace.find(key.0, key.1) {
                bars.push(self.bar(trace, store, live));
            }
        }
        bars
    }

    fn page(&mut self, trace: &Trace, bars: Vec<Bar>) -> data::Page {
        let told = self
            .stacks
            .iter()
            .map(|&(process, stack)| trace.processes()[process].stack(stack).map(|stack| stack.frames.as_slice()));
        let mut shared = Shared {
            names: &self.names,
            trace,
            all_threads: &self.threads,
            all_isolates: &self.isolates,
            threads: FxHashMap::default(),
            isolates: FxHashMap::default(),
            words: FxHashMap::default(),
            frames: FxHashMap::default(),
            stacks: FxHashMap::default(),
            told: told.collect(),
            room: FRAMES,
            page: data::Page { kinds: &KINDS, engines: self.engines.clone(), ..data::Page::default() },
        };
        for (told, process) in trace.processes().iter().zip(&self.processes) {
            let process = shared.process(told, process);
            shared.page.processes.push(process);
        }
        for &(process, ref refused) in &self.errors {
            let numbers = &self.processes[process];
            let stack = refused.stack.and_then(|stack| numbers.stacks.get(&stack));
            let error = data::Error {
                process,
                time: refused.time,
                code: cut(&refused.code).to_owned(),
                message: refused.message.chars().take(2_000).collect(),
                store: refused.store.map(|store| store.to_string()),
                thread: shared.thread_of(numbers, refused.thread),
                site: shared.text(refused.site.as_deref()),
                stack: stack.map_or(-1, |&stack| shared.stack(stack)),
                earlier: shared.text(refused.earlier.as_deref()),
            };
            shared.page.errors.push(error);
        }
        let (mut steps, mut references) = (STEPS, REFERENCES);
        for bar in bars {
            let leaks = trace.processes()[bar.process].has_leaks();
            let store = shared.store(&self.processes[bar.process], leaks, bar, &mut steps, &mut references);
            shared.page.stores.push(store);
        }
        data::Page {
            stores_in_all: self.stores_in_all,
            noticed: std::mem::take(&mut self.noticed),
            noticed_in_all: trace.processes().iter().map(|process| process.noticed).sum(),
            problems: std::mem::take(&mut self.problems),
            problems_in_all: self.problems_in_all,
            ..shared.page
        }
    }
}

impl Shared<'_> {
    fn process(&mut self, told: &crate::Process, process: &Process) -> data::Process {
        let (start, chart) = (&told.start, &process.chart);
        let mut places: Vec<(Origin, &Place)> = chart.places.iter().map(|(&origin, place)| (origin, place)).collect();
        places.sort_by(|(a_origin, a), (b_origin, b)| {
            let leaked = b.leaked_bytes.total_cmp(&a.leaked_bytes);
            leaked.then(b.track.peak.total_cmp(&a.track.peak)).then(a_origin.cmp(b_origin))
        });
        let places_in_all = places.len();
        let leaked = places
            .iter()
            .fold((0.0, 0.0), |(stores, bytes), (_, place)| (stores + place.leaked, bytes + place.leaked_bytes));
        // The chart has the lines of the places that had the most at once.
        let mut peaks: Vec<f64> = places.iter().map(|(_, place)| place.track.peak).collect();
        peaks.sort_by(|a, b| b.total_cmp(a));
        let smallest = peaks.get(LINES - 1).copied().unwrap_or(0.0);
        places.truncate(PLACES);
        let mut lines = LINES;
        let places = places.into_iter().map(|(origin, place)| {
            let has_line = place.track.peak >= smallest && lines > 0;
            lines -= usize::from(has_line);
            data::Place {
                site: self.origin(origin),
                made: (place.totals.made, place.totals.made_bytes),
                live: (place.totals.live, place.totals.live_bytes),
                leaked: (place.leaked, place.leaked_bytes),
                peak: place.totals.peak_bytes,
                life: place.totals.mean_life().map(|life| life.as_nanos() as f64),
                points: if has_line { ends(&place.track.points) } else { Vec::new() },
            }
        });
        let places = places.collect();
        let mut by_engine: Vec<(u32, data::Points)> =
            chart.engines.iter().map(|(&engines, track)| (engines, ends(&track.points))).collect();
        by_engine.sort_by_key(|(engines, _)| *engines);
        by_engine.truncate(FEW);
        data::Process {
            number: told.number,
            file: cut(&told.file).to_owned(),
            program: start.program.as_deref().map(|program| cut(program).to_owned()),
            level: start.level.as_deref().map(|level| cut(level).to_owned()),
            sample_bytes: start.sample_bytes,
            began: start.unix_milliseconds,
            labels: short(&start.labels),
            ended: told.has_ended,
            refused: told.refused,
            time: told.time,
            made: (told.totals.made, told.totals.made_bytes),
            live: (told.totals.live, told.totals.live_bytes),
            leaked,
            peak: told.totals.peak_bytes,
            shift: chart.shift,
            total: chart.total.points.iter().map(|point| (point.step, point.end, point.high)).collect(),
            by_engine,
            places,
            places_in_all,
        }
    }

    fn store(
        &mut self,
        process: &Process,
        leaks: bool,
        bar: Bar,
        steps: &mut usize,
        references: &mut usize,
    ) -> data::Store {
        let mut history = bar.history;
        if history.steps.len() > *steps {
            history.left_out += (history.steps.len().saturating_sub(2)) as u64;
            history.steps.drain(1..history.steps.len().saturating_sub(1).max(1));
        }
        *steps = steps.saturating_sub(history.steps.len());
        let state = match (bar.died, bar.is_static, leaks) {
            (Some(_), ..) => "freed",
            (None, true, _) => "static",
            (None, false, true) => "leaked",
            (None, false, false) => "live",
        };
        let taken_in_all = bar.references.len();
        let shown = taken_in_all.min(FEW).min(*references);
        *references -= shown;
        let taken = bar.references.iter().take(shown).map(|it| {
            let thread = self.thread_of(process, it.thread);
            let (site, reference) = (self.text(it.site.as_deref()), it.reference.to_string());
            data::Taken { reference, site, thread, time: it.time, from: it.from, to: it.to }
        });
        let taken: Vec<_> = taken.collect();
        let mut held = data::Held { taken, taken_in_all, ..data::Held::default() };
        if let Some(told) = &bar.holders {
            held.references = told.references;
            held.weak = told.weak;
            held.readers = told.readers;
            held.writer = told.writer;
        }
        for (isolate, count, path, site) in bar.buffers.into_iter().take(FEW) {
            let path = path.iter().take(DEEPEST).map(|step| cut(step).to_owned()).collect();
            held.buffers.push((self.isolate(isolate), count, path, cut(&site).to_owned()));
        }
        let is_held = bar.died.is_none() && (bar.holders.is_some() || taken_in_all > 0 || !held.buffers.is_empty());
        data::Store {
            process: bar.process,
            store: bar.store.to_string(),
            born: bar.born,
            died: bar.died,
            bytes: bar.bytes,
            weight: bar.weight,
            kind: self.word(bar.kind),
            thread: self.thread(bar.thread),
            site: self.origin(bar.origin),
            stack: self.stack(bar.stack),
            end: bar.died.map(|_| (self.thread(bar.end_thread), self.word(bar.end_site), self.stack(bar.end_stack))),
            engines: bar.engines,
            state,
            error: bar.has_error,
            labels: short(&bar.labels),
            steps: history
                .steps
                .iter()
                .map(|step| {
                    let (thread, isolate) = (self.thread(step.thread), self.isolate(step.isolate));
                    let (site, stack) = (self.word(step.site), self.stack(step.stack));
                    (step.kind, step.time, thread, isolate, site, stack, step.number)
                })
                .collect(),
            steps_left_out: history.left_out,
            holders: is_held.then_some(held),
        }
    }
}

/// A leak is a store that lives when its process ended in order, and that nobody declared static.
fn is_leak(trace: &Trace, store: &Store) -> bool {
    !store.is_static && trace.processes()[store.process].has_leaks()
}

fn ends(points: &[super::chart::Point]) -> data::Points {
    points.iter().map(|point| (point.step, point.end)).collect()
}

fn short(labels: &Labels) -> Labels {
    labels.iter().take(FEW).map(|(name, text)| (cut(name).to_owned(), cut(text).to_owned())).collect()
}

/// Both sides of a mark that the template has once.
fn halves(text: &'static str, mark: &str) -> (&'static str, &'static str) {
    text.split_once(mark).expect("page.html has each mark")
}
