//! The whole report as one JSON document, for programs.

use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::format::{Counted, Event, Frame, Isolate, Labels, Line, Reference, Refused};
use crate::place::frames;
use crate::{Problem, Process, Sink, Store, Totals, Trace};

/// Writes the report as one JSON document.
///
/// The document is an object with these fields. What is not known is left out; bytes are bytes, times are nanoseconds
/// since the start of the process.
///
/// - `version`: 1. New fields do not change it.
/// - `refused`: what was refused, in the order of the stream: `process`, `time`, `code`, `message`, `store`, `thread`,
///   `site`, `earlier`, `stack`.
/// - `problems`: the lines that were left out: `file`, `line`, `message`.
/// - `processes`: `process` (its number), `file`, `program`, `level`, `sample_bytes`, `unix_milliseconds`, `labels`,
///   `time` (the latest), `has_ended`, `isolates`, and `totals`.
/// - `sites`: for each process and place `process`, `site` and `totals`, the most live bytes first.
/// - `leaks`: the stores that live after their process ended, and are not static, the largest first: `process`, `store`,
///   `bytes`, `time`, `weight`, `kind`, `site`, `thread`, `engine`, `labels`, `stack`, `references`, and `holders` in words.
/// - `live`: all other stores that live, with the same fields and `is_static`.
///
/// `totals` are `live`, `live_bytes`, `peak_bytes`, `made`, `made_bytes`, `freed`, `bytes_per_second` (made, over the time of
/// the process) and `mean_life` (of those that were freed). They are estimates if only samples are told.
/// A `stack` has its innermost frame first. `process` is a place in `processes`, counted from 0, since two files may tell of
/// processes with the same number.
///
/// ```
/// use offheap_report::{Json, Sink, Trace, follow};
///
/// let stream = r#"{"event":"start","version":1,"process":7}
/// {"event":"created","time":5,"store":1,"bytes":64,"kind":"fixed","site":"src/main.rs:3:9"}
/// {"event":"end","time":9}
/// "#;
/// let (mut trace, mut report) = (Trace::default(), Vec::new());
/// let mut json = Json::new(&mut report);
/// follow("stream.jsonl", stream.as_bytes(), &mut trace, &mut json)?;
/// json.finish(&trace)?;
/// let report: serde_json::Value = serde_json::from_slice(&report)?;
/// assert_eq!(report["leaks"][0]["site"], "src/main.rs:3:9");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    refused: Vec<(usize, Refused)>,
    notices: Vec<(usize, Refused)>,
    problems: Vec<Value>,
}

#[derive(Serialize)]
struct RefusedJson<'a> {
    process: usize,
    #[serde(flatten)]
    refused: Refused,
    // Its frames, in place of its number.
    #[serde(skip_serializing_if = "<[Frame]>::is_empty")]
    stack: &'a [Frame],
}

#[derive(Serialize)]
struct ProcessJson<'a> {
    process: u64,
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unix_milliseconds: Option<u64>,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    labels: &'a Labels,
    time: u64,
    has_ended: bool,
    isolates: Vec<&'a Isolate>,
    totals: TotalsJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<Counted>,
}

#[derive(Serialize)]
struct TotalsJson {
    live: f64,
    live_bytes: f64,
    peak_bytes: f64,
    made: f64,
    made_bytes: f64,
    freed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_life: Option<u64>,
}

#[derive(Serialize)]
struct SiteJson<'a> {
    process: usize,
    site: &'a str,
    totals: TotalsJson,
}

#[derive(Serialize)]
struct StoreJson<'a> {
    process: usize,
    store: u64,
    bytes: u64,
    time: u64,
    weight: f64,
    is_static: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'a str>,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    labels: &'a Labels,
    #[serde(skip_serializing_if = "<[Frame]>::is_empty")]
    stack: &'a [Frame],
    #[serde(skip_serializing_if = "<[Reference]>::is_empty")]
    references: &'a [Reference],
    holders: Vec<String>,
}

impl<W: Write> Json<W> {
    /// Writes to `out`, all at the end.
    pub fn new(out: W) -> Self {
        Json { out, refused: Vec::new(), notices: Vec::new(), problems: Vec::new() }
    }

    /// A field whose value is a list, one item a line.
    fn list<T: Serialize>(&mut self, name: &str, items: impl IntoIterator<Item = T>) -> io::Result<()> {
        write!(self.out, ",\n\"{name}\":[")?;
        for (index, item) in items.into_iter().enumerate() {
            self.out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut self.out, &item)?;
        }
        self.out.write_all(b"]")
    }
}

impl TotalsJson {
    fn new(process: &Process, totals: &Totals) -> Self {
        let seconds = process.time as f64 / 1e9;
        TotalsJson {
            live: totals.live,
            live_bytes: totals.live_bytes,
            peak_bytes: totals.peak_bytes,
            made: totals.made,
            made_bytes: totals.made_bytes,
            freed: totals.freed,
            bytes_per_second: (seconds > 0.0).then(|| totals.made_bytes / seconds),
            mean_life: totals.mean_life().map(|life| u64::try_from(life.as_nanos()).unwrap_or(u64::MAX)),
        }
    }
}

fn process_json(process: &Process) -> ProcessJson<'_> {
    let start = &process.start;
    let mut isolates: Vec<_> = process.isolates().collect();
    isolates.sort_unstable_by_key(|isolate| isolate.isolate);
    ProcessJson {
        process: process.number,
        file: &process.file,
        program: start.program.as_deref(),
        level: start.level.as_deref(),
        sample_bytes: start.sample_bytes,
        unix_milliseconds: start.unix_milliseconds,
        labels: &start.labels,
        time: process.time,
        has_ended: process.has_ended,
        isolates,
        totals: TotalsJson::new(process, &process.totals),
        counted: process.counted,
    }
}

fn store_json<'a>(trace: &'a Trace, store: &'a Store) -> StoreJson<'a> {
    let process = &trace.processes()[store.process];
    StoreJson {
        process: store.process,
        store: store.number,
        bytes: store.bytes,
        time: store.time,
        weight: store.weight,
        is_static: store.is_static,
        kind: store.kind.as_deref(),
        site: store.site.as_deref(),
        thread: store.thread,
        engine: store.engine.as_deref(),
        labels: store.labels(),
        stack: frames(process, store.stack),
        references: store.references(),
        holders: trace.holders(store).iter().map(ToString::to_string).collect(),
    }
}

impl<W: Write> Sink for Json<W> {
    fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()> {
        let Some(process) = trace.process_index() else { return Ok(()) };
        match &line.event {
            Event::Refused(refused) => self.refused.push((process, refused.clone())),
            Event::Notice(notice) => self.notices.push((process, notice.clone())),
            _ => {}
        }
        Ok(())
    }

    fn problem(&mut self, problem: &Problem) -> io::Result<()> {
        let message = problem.cause.to_string();
        self.problems.push(json!({ "file": problem.file, "line": problem.number, "message": message }));
        Ok(())
    }

    fn finish(&mut self, trace: &Trace) -> io::Result<()> {
        self.out.write_all(b"{\"version\":1")?;
        for (name, told) in
            [("refused", std::mem::take(&mut self.refused)), ("notices", std::mem::take(&mut self.notices))]
        {
            let told = told.into_iter().map(|(process, mut refused)| {
                let stack = frames(&trace.processes()[process], refused.stack.take());
                RefusedJson { process, refused, stack }
            });
            self.list(name, told)?;
        }
        let problems = std::mem::take(&mut self.problems);
        self.list("problems", problems)?;
        self.list("processes", trace.processes().iter().map(process_json))?;

        let processes = trace.processes().iter().enumerate();
        let mut sites: Vec<_> =
            processes.flat_map(|(index, process)| process.sites().map(move |site| (index, process, site))).collect();
        let largest = |(index, _, (site, totals)): &(usize, &Process, (&Arc<str>, &Totals))| {
            (std::cmp::Reverse(totals.live_bytes.max(0.0) as u64), *index, Arc::clone(site))
        };
        sites.sort_by_cached_key(largest);
        let sites = sites.into_iter().map(|(index, process, (site, totals))| SiteJson {
            process: index,
            site,
            totals: TotalsJson::new(process, totals),
        });
        self.list("sites", sites)?;

        let mut stores: Vec<_> = trace.live_stores().collect();
        stores.sort_unstable_by_key(|store| (std::cmp::Reverse(store.bytes), store.process, store.number));
        let (leaks, live): (Vec<_>, Vec<_>) = stores.into_iter().partition(|store| trace.has_leaked(store));
        self.list("leaks", leaks.into_iter().map(|store| store_json(trace, store)))?;
        self.list("live", live.into_iter().map(|store| store_json(trace, store)))?;
        self.out.write_all(b"}\n")?;
        self.out.flush()
    }
}
