//! A heap profile in pprof's format (`profile.proto`, gzipped): the values of Go's heap profiles, by stack.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::format::{Event, Frame, Line};
use crate::place::{frame_text, stack_of};
use crate::{Sink, Store, Trace};

mod proto;

/// Writes a profile that `pprof`, Pyroscope, Parca, speedscope and others open.
///
/// A sample is a stack, a process and a kind of memory, with four values: how many stores were made there
/// (`alloc_objects`), their bytes (`alloc_space`, each store with the greatest length that it had), and of those that live
/// when the stream ends the number (`inuse_objects`) and the bytes (`inuse_space`). If the stream tells only samples, the
/// values are estimates for all stores, by the samples' weights.
///
/// It keeps the sums of each stack, and writes at the end.
///
/// ```
/// use offheap_report::{Pprof, Sink, Trace, follow};
///
/// let stream = r#"{"event":"start","version":1,"process":7}
/// {"event":"created","time":5,"store":1,"bytes":64,"kind":"fixed","site":"src/main.rs:3:9"}
/// "#;
/// let (mut trace, mut report) = (Trace::default(), Vec::new());
/// let mut pprof = Pprof::new(&mut report);
/// follow("stream.jsonl", stream.as_bytes(), &mut trace, &mut pprof)?;
/// pprof.finish(&trace)?;
/// assert_eq!(report[..2], [0x1f, 0x8b]); // gzip
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Pprof<W> {
    out: W,
    samples: HashMap<Key, Values>,
}

/// What a sample is. Its stack may be told later than its stores.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    process: usize,
    stack: Option<u64>,
    site: Option<Arc<str>>,
    kind: Option<Arc<str>>,
}

/// What a sample counts: stores and bytes that were made, and that live.
#[derive(Clone, Copy, Debug, Default)]
struct Values {
    made: f64,
    made_bytes: f64,
    live: f64,
    live_bytes: f64,
}

impl<W: Write> Pprof<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Pprof { out, samples: HashMap::new() }
    }

    /// Counts a store, once: when it is freed, or at the end.
    fn count(&mut self, store: &Store) {
        let (site, kind) = (store.site.clone(), store.kind.clone());
        let values = self.samples.entry(Key { process: store.process, stack: store.stack, site, kind }).or_default();
        values.made += store.weight;
        values.made_bytes += store.weight * store.greatest_bytes as f64;
        if store.freed().is_none() {
            values.live += store.weight;
            values.live_bytes += store.weight * store.bytes as f64;
        }
    }
}

impl<W: Write> Sink for Pprof<W> {
    fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()> {
        if let (Event::Freed(_), Some(store)) = (&line.event, trace.store()) {
            self.count(store);
        }
        Ok(())
    }

    fn finish(&mut self, trace: &Trace) -> io::Result<()> {
        for store in trace.live_stores() {
            self.count(store);
        }
        let mut samples: Vec<_> = std::mem::take(&mut self.samples).into_iter().collect();
        samples.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let profile = Tables::default().profile(trace, &samples);
        let mut zipped = GzEncoder::new(&mut self.out, Compression::default());
        zipped.write_all(&profile.encode_to_vec())?;
        zipped.finish()?;
        self.out.flush()
    }
}

/// The tables of a profile. Everything else refers to them by number.
#[derive(Default)]
struct Tables {
    strings: Vec<String>,
    string_numbers: HashMap<String, i64>,
    functions: Vec<proto::Function>,
    function_numbers: HashMap<(i64, i64), u64>,
    locations: Vec<proto::Location>,
    location_numbers: HashMap<Frame, u64>,
}

impl Tables {
    fn profile(mut self, trace: &Trace, samples: &[(Key, Values)]) -> proto::Profile {
        // The format wants the empty string first.
        self.string("");
        let sample_type = vec![
            self.value("alloc_objects", "count"),
            self.value("alloc_space", "bytes"),
            self.value("inuse_objects", "count"),
            self.value("inuse_space", "bytes"),
        ];
        let sample = samples.iter().map(|(key, values)| self.sample(trace, key, values)).collect();
        let starts = || trace.processes().iter().map(|process| &process.start);
        let began = starts().filter_map(|start| start.unix_milliseconds).min().unwrap_or(0);
        let lasted = trace.processes().iter().map(|process| process.time).max().unwrap_or(0);
        let period = starts().filter_map(|start| start.sample_bytes).max().unwrap_or(1);
        proto::Profile {
            default_sample_type: self.string("inuse_space"),
            period_type: Some(self.value("space", "bytes")),
            period: signed(period),
            time_nanos: signed(began.saturating_mul(1_000_000)),
            duration_nanos: signed(lasted),
            sample_type,
            sample,
            location: self.locations,
            function: self.functions,
            string_table: self.strings,
        }
    }

    fn value(&mut self, of: &str, unit: &str) -> proto::ValueType {
        proto::ValueType { r#type: self.string(of), unit: self.string(unit) }
    }

    fn sample(&mut self, trace: &Trace, key: &Key, values: &Values) -> proto::Sample {
        let process = &trace.processes()[key.process];
        let frames = stack_of(process, key.stack, key.site.as_deref());
        let program = process.start.program.as_deref().unwrap_or("a process");
        let mut label = vec![self.label("process", &format!("{program} ({})", process.number))];
        label.extend(key.kind.as_deref().map(|kind| self.label("kind", kind)));
        let value = [values.made, values.made_bytes, values.live, values.live_bytes];
        proto::Sample {
            location_id: frames.iter().map(|frame| self.location(frame)).collect(),
            // What is too large for the type becomes its greatest.
            value: value.into_iter().map(|value| value.round() as i64).collect(),
            label,
        }
    }

    fn label(&mut self, key: &str, text: &str) -> proto::Label {
        proto::Label { key: self.string(key), str: self.string(text) }
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(&number) = self.string_numbers.get(text) {
            return number;
        }
        let number = self.strings.len() as i64;
        self.strings.push(text.to_owned());
        self.string_numbers.insert(text.to_owned(), number);
        number
    }

    fn location(&mut self, frame: &Frame) -> u64 {
        if let Some(&number) = self.location_numbers.get(frame) {
            return number;
        }
        let (file, line, column) = frame.site.as_deref().map_or(("", 0, 0), file_line_column);
        let name = frame.function.as_deref().map_or_else(|| frame_text(frame), Into::into);
        let (name, filename) = (self.string(&name), self.string(file));
        let next = self.functions.len() as u64 + 1;
        let function_id = *self.function_numbers.entry((name, filename)).or_insert(next);
        if function_id == next {
            self.functions.push(proto::Function { id: next, name, system_name: name, filename });
        }
        let id = self.locations.len() as u64 + 1;
        let line = vec![proto::Line { function_id, line, column }];
        self.locations.push(proto::Location { id, address: frame.address.unwrap_or(0), line });
        self.location_numbers.insert(frame.clone(), id);
        id
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The file, line and column of a place: 0 for what it does not have.
fn file_line_column(site: &str) -> (&str, i64, i64) {
    let split = |text: &str| -> Option<(usize, i64)> {
        let (before, number) = text.rsplit_once(':')?;
        Some((before.len(), number.parse().ok().filter(|number| *number >= 0)?))
    };
    let Some((end, last)) = split(site) else { return (site, 0, 0) };
    match split(&site[..end]) {
        Some((file, line)) => (&site[..file], line, last),
        None => (&site[..end], last, 0),
    }
}
