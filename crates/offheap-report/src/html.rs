//! A page that shows a stream: one file that any browser opens, without a network.
//!
//! `html/` has the page's own parts as they are: `page.html`, `page.css`, and the scripts.

mod bar;
mod chart;
mod data;
mod keep;
mod names;
mod page;

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use crate::follow::Sink;
use crate::format::{Event, Line, Refused};
use crate::{Problem, Store, Trace};
use bar::{About, Bar, History, Step};
use chart::Chart;
use keep::{Kept, Key};
use names::{NONE, Names, Origin};

/// How many errors, and how many lines that could not be read, the page shows.
const SHOWN: usize = 1_000;
/// How many notices it shows: they stand at its top.
const SHOWN_NOTICES: usize = 20;

/// Writes a page when all lines were read: one file that any browser opens, without a network.
///
/// Until then it keeps the totals, a history of up to 32 steps for each store that lives, and 5,000 each of the freed
/// stores that were the largest, that lived longest, or that an error is about. The page says how many stores are in its
/// totals only, and stays below 10 MB.
#[derive(Debug)]
pub struct Html<W> {
    out: W,
    names: Names,
    engines: Vec<String>,
    /// In the order of the trace.
    processes: Vec<Process>,
    /// Process, number, names of engine and isolate.
    isolates: Vec<(usize, u64, u32, u32)>,
    /// Process, number.
    threads: Vec<(usize, u64)>,
    stacks: Vec<(usize, u64)>,
    live: FxHashMap<Key, Live>,
    kept: Kept,
    errors: Vec<(usize, Refused)>,
    stores_in_all: u64,
    noticed: Vec<String>,
    problems: Vec<String>,
    problems_in_all: u64,
}

/// A process, and the page's numbers for what the process has numbers for.
#[derive(Debug, Default)]
struct Process {
    chart: Chart,
    isolates: FxHashMap<u64, u32>,
    threads: FxHashMap<u64, u32>,
    stacks: FxHashMap<u64, u32>,
}

/// What the page knows of a store that lives, beyond what the trace knows.
#[derive(Debug)]
struct Live {
    origin: Origin,
    /// The engines that have a buffer now, and those that ever had one.
    engines: u32,
    ever: u32,
    has_error: bool,
    /// The length that the totals count, and the greatest one.
    lengths: (u64, u64),
    history: History,
}

impl<W: Write> Html<W> {
    /// Writes the page here.
    pub fn new(out: W) -> Self {
        Html {
            out,
            names: Names::default(),
            engines: Vec::new(),
            processes: Vec::new(),
            isolates: Vec::new(),
            threads: Vec::new(),
            stacks: Vec::new(),
            live: FxHashMap::default(),
            kept: Kept::default(),
            errors: Vec::new(),
            stores_in_all: 0,
            noticed: Vec::new(),
            problems: Vec::new(),
            problems_in_all: 0,
        }
    }

    /// The bit of an engine in a set.
    fn engine_bit(&mut self, name: &str) -> u32 {
        let name = names::cut(name);
        let at = self.engines.iter().position(|engine| engine == name).unwrap_or_else(|| {
            // Real streams tell of two or three. One that invents more has them in one.
            if self.engines.len() < 32 {
                self.engines.push(name.to_owned());
            }
            self.engines.len() - 1
        });
        1 << at
    }

    fn isolate(&mut self, trace: &Trace, process: usize, isolate: u64) -> u32 {
        if let Some(&known) = self.processes[process].isolates.get(&isolate) {
            return known;
        }
        let told = trace.processes()[process].isolate(isolate);
        let engine = self.names.number(told.map_or("an engine", |told| &told.engine));
        let name = self.names.optional(told.and_then(|told| told.name.as_deref()));
        let number = self.isolates.len() as u32;
        self.isolates.push((process, isolate, engine, name));
        self.processes[process].isolates.insert(isolate, number);
        number
    }

    fn thread(&mut self, process: usize, thread: Option<u64>) -> u32 {
        let Some(thread) = thread else { return NONE };
        *self.processes[process].threads.entry(thread).or_insert_with(|| {
            self.threads.push((process, thread));
            self.threads.len() as u32 - 1
        })
    }

    fn stack(&mut self, process: usize, stack: Option<u64>) -> u32 {
        let Some(stack) = stack else { return NONE };
        *self.processes[process].stacks.entry(stack).or_insert_with(|| {
            self.stacks.push((process, stack));
            self.stacks.len() as u32 - 1
        })
    }

    fn origin(&mut self, store: &Store) -> Origin {
        match (&store.site, self.stack(store.process, store.stack)) {
            (Some(site), _) => Origin::Site(self.names.number(site)),
            (None, NONE) => Origin::Unknown,
            (None, stack) => Origin::Stack(stack),
        }
    }

    /// The engines that have a buffer over a store now.
    fn engines_of(&mut self, trace: &Trace, store: &Store) -> u32 {
        store.buffers().iter().filter(|buffers| buffers.count > 0).fold(0, |engines, buffers| {
            let isolate = buffers.isolate.and_then(|isolate| trace.processes()[store.process].isolate(isolate));
            engines | self.engine_bit(isolate.map_or("an engine", |isolate| &isolate.engine))
        })
    }

    /// Brings charts and totals from what they count for a store to what is true now.
    fn count(&mut self, trace: &Trace, store: &Store, time: u64) {
        let engines = self.engines_of(trace, store);
        let Some(live) = self.live.get_mut(&(store.process, store.number)) else { return };
        let length = if store.freed().is_some() { 0 } else { store.bytes };
        let before = store.weight * live.lengths.0 as f64;
        let after = store.weight * length as f64;
        let chart = &mut self.processes[store.process].chart;
        if engines != live.engines {
            chart.engine(time, live.engines, -before);
            chart.engine(time, engines, after);
        } else if before != after {
            chart.engine(time, engines, after - before);
        }
        if before != after {
            chart.change(time, live.origin, after - before);
        }
        live.engines = engines;
        live.ever |= engines;
        live.lengths = (length, store.greatest_bytes);
    }

    fn created(&mut self, trace: &Trace, store: &Store) {
        let origin = self.origin(store);
        let live = Live { origin, engines: 0, ever: 0, has_error: false, lengths: (0, 0), history: History::default() };
        self.live.insert((store.process, store.number), live);
        self.stores_in_all += 1;
        self.processes[store.process].chart.places.entry(origin).or_default().totals.made(store);
        self.count(trace, store, store.time);
    }

    fn freed(&mut self, trace: &Trace, store: &Store, time: u64) {
        let key = (store.process, store.number);
        self.count(trace, store, time);
        let Some(live) = self.live.remove(&key) else { return };
        self.processes[store.process].chart.places.entry(live.origin).or_default().totals.freed(store, time);
        if self.kept.wants(store.bytes, time.saturating_sub(store.time), live.has_error) {
            let bar = self.bar(trace, store, live);
            self.kept.add(key, bar);
        }
    }

    /// Something happened to a store that goes on living, or that is gone already.
    fn happened(&mut self, trace: &Trace, key: Key, time: u64, step: Option<Step>) {
        let is_error = step.is_some_and(|step| step.kind == bar::REFUSED);
        let history = if let Some(live) = self.live.get_mut(&key) {
            live.has_error |= is_error;
            &mut live.history
        } else if let Some(bar) = self.kept.get_mut(key) {
            bar.has_error |= is_error;
            &mut bar.history
        } else {
            return;
        };
        step.into_iter().for_each(|step| history.push(step));
        let Some(store) = trace.store() else { return };
        if let Some(live) = self.live.get(&key) {
            let (lengths, origin) = (live.lengths, live.origin);
            if lengths.0 != store.bytes {
                let place = self.processes[key.0].chart.places.entry(origin).or_default();
                place.totals.resized(store.weight, lengths, (store.bytes, store.greatest_bytes));
            }
            self.count(trace, store, time);
        }
    }

    fn bar(&mut self, trace: &Trace, store: &Store, live: Live) -> Bar {
        let process = store.process;
        let end = store.freed();
        let buffers = store.buffers().iter().map(|buffers| {
            let isolate = buffers.isolate.map_or(NONE, |isolate| self.isolate(trace, process, isolate));
            (isolate, buffers.count, buffers.path.clone(), buffers.site.clone().unwrap_or_default())
        });
        Bar {
            buffers: buffers.collect(),
            process,
            store: store.number,
            born: store.time,
            died: end.map(|end| end.time),
            bytes: store.bytes,
            weight: store.weight,
            kind: self.names.optional(store.kind.as_deref()),
            thread: self.thread(process, store.thread),
            origin: live.origin,
            stack: self.stack(process, store.stack),
            end_thread: self.thread(process, end.and_then(|end| end.thread)),
            end_site: self.names.optional(end.and_then(|end| end.site.as_deref())),
            end_stack: self.stack(process, end.and_then(|end| end.stack)),
            engines: live.ever,
            is_static: store.is_static,
            has_error: live.has_error,
            labels: store.labels().clone(),
            history: live.history,
            references: store.references().to_vec(),
            holders: store.told_holders().cloned(),
        }
    }
}

impl<W: Write> Sink for Html<W> {
    fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()> {
        let Some(process) = trace.process_index() else { return Ok(()) };
        self.processes.resize_with(trace.processes().len(), Process::default);
        if let Event::Isolate(isolate) = &line.event {
            // A number may be used again. What was told before is about the isolate that had it.
            self.processes[process].isolates.remove(&isolate.isolate);
        }
        if let (Event::Refused(refused), true) = (&line.event, self.errors.len() < SHOWN) {
            self.errors.push((process, refused.clone()));
            self.thread(process, refused.thread);
            self.stack(process, refused.stack);
        }
        if let (Event::Notice(notice), true) = (&line.event, self.noticed.len() < SHOWN_NOTICES) {
            self.noticed.push(names::cut(&notice.message).to_owned());
        }
        let Some(about) = About::of(&line.event) else { return Ok(()) };
        match (&line.event, trace.store()) {
            (Event::Created(_), Some(store)) => self.created(trace, store),
            (Event::Freed(change), Some(store)) => self.freed(trace, store, change.time),
            _ => {
                let Some(number) = about.store else { return Ok(()) };
                let step = about.kind.map(|kind| Step {
                    kind,
                    thread: self.thread(process, about.thread),
                    isolate: about.isolate.map_or(NONE, |isolate| self.isolate(trace, process, isolate)),
                    site: self.names.optional(about.site),
                    stack: self.stack(process, about.stack),
                    time: about.time,
                    number: about.number,
                });
                self.happened(trace, (process, number), about.time, step);
            }
        }
        Ok(())
    }

    fn problem(&mut self, problem: &Problem) -> io::Result<()> {
        self.problems_in_all += 1;
        if self.problems.len() < SHOWN {
            self.problems.push(names::cut(&problem.to_string()).to_owned());
        }
        Ok(())
    }

    fn finish(&mut self, trace: &Trace) -> io::Result<()> {
        self.processes.resize_with(trace.processes().len(), Process::default);
        self.write(trace)
    }
}
