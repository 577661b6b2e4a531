//! A trace for ui.perfetto.dev, as Chrome's JSON trace events: counters of live bytes, and one slice per store.
//!
//! Each process has counters of live bytes (of all stores, per engine, per place that made them), one track per place with
//! the stores that it made, from creation to free, and marks for what was refused. What happened to a store between is
//! marks on its slice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};
use serde_json::{Map, Value, json};

use crate::format::{Change, Created, Event, Line, Refused, Start};
use crate::place::{UNKNOWN, frame_text, stack_of};
use crate::{Process, Sink, Store, Trace};

/// How many places have a counter of their own. A viewer draws each as a track.
const PLACES: usize = 200;

/// Viewers take no negative time, and the files of a report come in any order: a process that began up to a day before the
/// first one still has its true place. Viewers show time from the first event on.
const DAY_MILLISECONDS: u64 = 24 * 60 * 60 * 1000;

/// Writes a trace that ui.perfetto.dev and chrome://tracing open.
///
/// Times are in microseconds, with nanoseconds as their fraction. Several processes are placed by their
/// `unix_milliseconds`. Of the places, the first 200 of a process have counters. Only stores that live at the end show their
/// stacks: with every slice, stacks would be most of the file. Samples count by their weights.
///
/// It writes while it reads, and keeps only the engines of stores that live. A line of the stream makes several small
/// writes, so `out` should be buffered.
///
/// ```
/// use offheap_report::{Perfetto, Sink, Trace, follow};
///
/// let stream = r#"{"event":"start","version":1,"process":7}
/// {"event":"created","time":5,"store":1,"bytes":64,"kind":"fixed","site":"src/main.rs:3:9"}
/// "#;
/// let (mut trace, mut report) = (Trace::default(), Vec::new());
/// let mut perfetto = Perfetto::new(&mut report);
/// follow("stream.jsonl", stream.as_bytes(), &mut trace, &mut perfetto)?;
/// perfetto.finish(&trace)?;
/// assert!(String::from_utf8_lossy(&report).contains("src/main.rs:3:9"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Perfetto<W> {
    out: W,
    has_events: bool,
    first_start: Option<u64>,
    // By the place of the process in the trace. A process whose lines are left out has none.
    runs: HashMap<usize, Run>,
    pids: HashSet<u32>,
    // What is counted for which engine, of each store that an engine had.
    exposed: HashMap<(usize, u64), (Arc<str>, f64)>,
}

/// What is kept of a process.
#[derive(Debug, Default)]
struct Run {
    pid: u32,
    // The microseconds of the process's time 0.
    origin: f64,
    // What each counter showed last.
    all: f64,
    without_engine: f64,
    engines: BTreeMap<Arc<str>, f64>,
    places: HashMap<Arc<str>, f64>,
}

#[derive(Serialize)]
struct TraceEvent<'a> {
    ph: &'static str,
    name: &'a str,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id2: Option<Local>,
    // The scope of an instant: "t" is its thread, "p" its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    args: Map<String, Value>,
}

/// A number that means something only in its process.
#[derive(Serialize)]
struct Local {
    local: String,
}

/// An event of a store's slice.
#[derive(Clone, Copy)]
enum Phase {
    Begin,
    Mark,
    End,
}

/// Writes the last character of a text by its number if it is a backslash: Perfetto (52) takes the quote behind any backslash for
/// a part of the text, and then refuses the whole trace.
#[derive(Default)]
struct LastBackslash {
    is_held_back: bool,
}

impl LastBackslash {
    fn release<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        if mem::take(&mut self.is_held_back) { out.write_all(br"\\") } else { Ok(()) }
    }
}

impl Formatter for LastBackslash {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        self.release(out)?;
        CompactFormatter.write_string_fragment(out, fragment)
    }

    fn write_char_escape<W: Write + ?Sized>(&mut self, out: &mut W, escape: CharEscape) -> io::Result<()> {
        self.release(out)?;
        self.is_held_back = matches!(escape, CharEscape::ReverseSolidus);
        if self.is_held_back { Ok(()) } else { CompactFormatter.write_char_escape(out, escape) }
    }

    fn end_string<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        if mem::take(&mut self.is_held_back) {
            out.write_all(br"\u005c")?;
        }
        CompactFormatter.end_string(out)
    }
}

impl<W: Write> Perfetto<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Perfetto {
            out,
            has_events: false,
            first_start: None,
            runs: HashMap::new(),
            pids: HashSet::new(),
            exposed: HashMap::new(),
        }
    }

    fn write(&mut self, event: &TraceEvent<'_>) -> io::Result<()> {
        let before: &[u8] = if self.has_events { b",\n" } else { b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n" };
        self.has_events = true;
        self.out.write_all(before)?;
        event.serialize(&mut Serializer::with_formatter(&mut self.out, LastBackslash::default()))?;
        Ok(())
    }

    /// The name of a process or a thread.
    fn name(&mut self, what: &'static str, pid: u32, tid: Option<u32>, name: &str) -> io::Result<()> {
        let args = args([("name", Some(json!(name)))]);
        self.write(&TraceEvent { ph: "M", name: what, pid, tid, ts: None, cat: None, id2: None, s: None, args })
    }

    fn start(&mut self, index: usize, number: u64, start: &Start) -> io::Result<()> {
        // A number of a process that viewers take, and that no process has yet: files of two machines may share one.
        let wanted = u32::try_from(number).ok().filter(|&pid| pid != 0 && pid < i32::MAX as u32);
        let pid = wanted.into_iter().chain(1_000_000_000..).find(|pid| !self.pids.contains(pid)).unwrap_or(u32::MAX);
        self.pids.insert(pid);
        let began = start.unix_milliseconds.or(self.first_start).unwrap_or(0);
        let first = *self.first_start.get_or_insert(began);
        let since = began.saturating_add(DAY_MILLISECONDS).saturating_sub(first);
        self.runs.insert(index, Run { pid, origin: since as f64 * 1000.0, ..Run::default() });
        let program = start.program.as_deref().unwrap_or("a process");
        self.name("process_name", pid, None, &format!("{program} ({number})"))
    }

    fn created(&mut self, process: &Process, store: &Store, created: &Created) -> io::Result<()> {
        let facts = [
            ("store", Some(json!(created.store))),
            ("bytes", Some(json!(created.bytes))),
            ("kind", created.kind.as_ref().map(|kind| json!(kind))),
            ("thread", created.thread.map(|thread| process.thread(thread).map_or(json!(thread), |name| json!(name)))),
            ("stands for stores", created.weight.map(|weight| json!(weight))),
        ];
        let mut args = args(facts);
        args.extend(created.labels.iter().map(|(key, value)| (format!("label {key}"), json!(value))));
        self.slice(Phase::Begin, store, created.time, place(store), args)?;
        self.count(process, store, created.time)
    }

    fn changed(&mut self, process: &Process, store: &Store, what: &'static str, change: &Change) -> io::Result<()> {
        let isolate = change.isolate.map(|isolate| {
            let name = process.isolate(isolate).and_then(|isolate| isolate.name.as_deref());
            name.map_or_else(|| json!(isolate), |name| json!(name))
        });
        let facts = [
            ("bytes", change.bytes.map(|bytes| json!(bytes))),
            ("isolate", isolate),
            ("at", change.site.as_ref().map(|at| json!(at))),
        ];
        self.slice(Phase::Mark, store, change.time, what, args(facts))?;
        match what {
            "exposed" | "resized" => self.count(process, store, change.time),
            _ => Ok(()),
        }
    }

    fn freed(&mut self, process: &Process, store: &Store, change: &Change) -> io::Result<()> {
        let facts = [("freed at", change.site.as_ref().map(|at| json!(at)))];
        self.slice(Phase::End, store, change.time, place(store), args(facts))?;
        self.count(process, store, change.time)
    }

    fn refused(&mut self, index: usize, refused: &Refused, category: &'static str) -> io::Result<()> {
        let Some(run) = self.runs.get(&index) else { return Ok(()) };
        let (pid, ts) = (run.pid, Some(run.at(refused.time)));
        let tid = thread_id(refused.thread);
        let facts = [
            ("message", Some(json!(refused.message))),
            ("store", refused.store.map(|store| json!(store))),
            ("at", refused.site.as_ref().map(|site| json!(site))),
            ("earlier", refused.earlier.as_ref().map(|site| json!(site))),
        ];
        let s = Some(if tid.is_some() { "t" } else { "p" });
        let (cat, args) = (Some(category), args(facts));
        self.write(&TraceEvent { ph: "i", name: &refused.code, pid, tid, ts, cat, id2: None, s, args })
    }

    fn slice(
        &mut self,
        phase: Phase,
        store: &Store,
        time: u64,
        name: &str,
        args: Map<String, Value>,
    ) -> io::Result<()> {
        let Some(run) = self.runs.get(&store.process) else { return Ok(()) };
        let (pid, ts) = (run.pid, Some(run.at(time)));
        let ph = match phase {
            Phase::Begin => "b",
            Phase::Mark => "n",
            Phase::End => "e",
        };
        let id2 = Some(Local { local: format!("{:#x}", store.number) });
        self.write(&TraceEvent { ph, name, pid, tid: None, ts, cat: Some("store"), id2, s: None, args })
    }

    /// Writes the counters that a store has changed.
    fn count(&mut self, process: &Process, store: &Store, time: u64) -> io::Result<()> {
        let Some(run) = self.runs.get_mut(&store.process) else { return Ok(()) };
        let (pid, ts) = (run.pid, Some(run.at(time)));
        let engines = run.count_engine(&mut self.exposed, store);
        let in_engines: f64 = run.engines.values().sum();
        let all = process.totals.live_bytes;
        let mut by_engine = Map::new();
        for (engine, bytes) in engines {
            by_engine.insert((*engine).to_owned(), whole(bytes));
        }
        if changes(&mut run.without_engine, all - in_engines) {
            by_engine.insert("none".to_owned(), whole(all - in_engines));
        }
        let mut counters = vec![("live bytes by engine", by_engine)];
        if changes(&mut run.all, all) {
            counters.push(("live bytes", args([("all", Some(whole(all)))])));
        }
        if let Some((place, totals)) = store.site.as_ref().and_then(|place| Some((place, process.site(place)?))) {
            let bytes = totals.live_bytes;
            if run.place(place).is_some_and(|last| changes(last, bytes)) {
                counters.push(("live bytes by place", args([(&**place, Some(whole(bytes)))])));
            }
        }
        for (name, args) in counters.into_iter().filter(|(_, args)| !args.is_empty()) {
            self.write(&TraceEvent { ph: "C", name, pid, tid: None, ts, cat: None, id2: None, s: None, args })?;
        }
        Ok(())
    }
}

/// The whole bytes of a sum.
fn whole(bytes: f64) -> Value {
    json!(bytes.round().max(0.0) as u64)
}

/// Whether a counter changes by this.
fn changes(last: &mut f64, now: f64) -> bool {
    std::mem::replace(last, now) != now
}

impl Run {
    fn at(&self, time: u64) -> f64 {
        self.origin + time as f64 / 1000.0
    }

    /// What the counter of a place showed last, if the place has one.
    fn place(&mut self, place: &Arc<str>) -> Option<&mut f64> {
        if self.places.len() < PLACES && !self.places.contains_key(place) {
            self.places.insert(place.clone(), 0.0);
        }
        self.places.get_mut(place)
    }

    /// Counts a store for the engine that has it now. Returns the bytes of each engine that this changed.
    fn count_engine(
        &mut self,
        exposed: &mut HashMap<(usize, u64), (Arc<str>, f64)>,
        store: &Store,
    ) -> Vec<(Arc<str>, f64)> {
        let key = (store.process, store.number);
        let before = exposed.remove(&key);
        let bytes = store.bytes as f64 * store.weight;
        let after = store.engine.clone().filter(|_| store.freed().is_none()).map(|engine| (engine, bytes));
        let mut changed = Vec::new();
        for (counted, sign) in [(&before, -1.0), (&after, 1.0)] {
            let Some((engine, bytes)) = counted else { continue };
            *self.engines.entry(engine.clone()).or_default() += sign * bytes;
            if !changed.contains(engine) {
                changed.push(engine.clone());
            }
        }
        exposed.extend(after.map(|after| (key, after)));
        changed.into_iter().map(|engine| (engine.clone(), self.engines[&engine])).collect()
    }
}

/// The name of a store's slice. Viewers put slices of one name on one track.
fn place(store: &Store) -> &str {
    store.site.as_deref().unwrap_or(UNKNOWN)
}

/// What is said of a store that lives at the end.
fn left(process: &Process, store: &Store) -> Map<String, Value> {
    let state = match (store.is_static, process.has_leaks()) {
        (true, _) => "static: it is meant to stay",
        (false, true) => "leaked",
        (false, false) => "lives: the process was not seen to end",
    };
    let stack = stack_of(process, store.stack, store.site.as_deref());
    let stack: Vec<_> = stack.iter().map(frame_text).collect();
    args([("at the end", Some(json!(state))), ("stack", (!stack.is_empty()).then(|| json!(stack)))])
}

fn thread_id(thread: Option<u64>) -> Option<u32> {
    thread.and_then(|thread| u32::try_from(thread).ok())
}

fn args<const N: usize>(facts: [(&str, Option<Value>); N]) -> Map<String, Value> {
    facts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

impl<W: Write> Sink for Perfetto<W> {
    fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()> {
        let (Some(index), Some(process)) = (trace.process_index(), trace.process()) else { return Ok(()) };
        match &line.event {
            Event::Start(start) => return self.start(index, process.number, start),
            Event::Thread(thread) => {
                let (Some(run), Some(tid)) = (self.runs.get(&index), thread_id(Some(thread.thread))) else {
                    return Ok(());
                };
                return self.name("thread_name", run.pid, Some(tid), &thread.name);
            }
            Event::Refused(refused) => return self.refused(index, refused, "refused"),
            Event::Notice(notice) => return self.refused(index, notice, "notice"),
            _ => {}
        }
        let Some(store) = trace.store() else { return Ok(()) };
        match &line.event {
            Event::Created(created) => self.created(process, store, created),
            Event::Exposed(change) => self.changed(process, store, "exposed", change),
            Event::Externalized(change) => self.changed(process, store, "externalized", change),
            Event::Detached(change) => self.changed(process, store, "detached", change),
            Event::Transferred(change) => self.changed(process, store, "transferred", change),
            Event::Resized(change) => self.changed(process, store, "resized", change),
            Event::Released(change) => self.changed(process, store, "released", change),
            Event::Freed(change) => self.freed(process, store, change),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, trace: &Trace) -> io::Result<()> {
        let mut live: Vec<_> = trace.live_stores().collect();
        live.sort_unstable_by_key(|store| (store.process, store.number));
        for store in live {
            let process = &trace.processes()[store.process];
            self.slice(Phase::End, store, process.time, place(store), left(process, store))?;
        }
        let end: &[u8] = if self.has_events { b"\n]}\n" } else { b"{\"traceEvents\":[]}\n" };
        self.out.write_all(end)?;
        self.out.flush()
    }
}
