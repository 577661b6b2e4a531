//! The report for a terminal: what was refused, what lives with its holders, and the totals.

mod living;
mod refusals;
mod source;

use std::io::{self, Write};

use annotate_snippets::{Level, Renderer};

use crate::format::{Event, Line};
use crate::visible;
use crate::{Process, Sink, Size, Totals, Trace};
use refusals::Refusals;
use source::Sources;

/// At most this many places are shown in full, and as many in the table of totals.
const SHOWN_PLACES: usize = 20;

/// Writes the report for a terminal: first what was refused, then what lives, the largest first, and at last the totals.
///
/// Around each place it shows the lines of the source file, if that is there. A relative name is one in the current folder.
pub struct Terminal<W> {
    out: W,
    renderer: Renderer,
    sources: Sources,
    refusals: Refusals,
    notices: Refusals,
}

impl<W: Write> Terminal<W> {
    /// Writes to `out`, with the escapes of a terminal for colours if `colours` says so.
    pub fn new(out: W, colours: bool) -> Self {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let (refusals, notices) = (Refusals::new(Level::ERROR), Refusals::new(Level::WARNING.with_name("notice")));
        Terminal { out, renderer, sources: Sources::default(), refusals, notices }
    }

    fn living(&mut self, trace: &Trace) -> io::Result<()> {
        let places = living::places(trace);
        for place in places.iter().take(SHOWN_PLACES) {
            let group = place.group(trace, &mut self.sources);
            writeln!(self.out, "{}\n", self.renderer.render(&[group]))?;
        }
        let hidden = &places[places.len().min(SHOWN_PLACES)..];
        if hidden.is_empty() {
            return Ok(());
        }
        let stores = hidden.iter().map(|place| place.stores).sum();
        let bytes = hidden.iter().map(|place| place.bytes).sum();
        let (number, noun) = counted(hidden.len() as f64, "place");
        writeln!(self.out, "and {} from {number} further {noun}\n", amount(bytes, stores))
    }

    fn totals(&mut self, trace: &Trace) -> io::Result<()> {
        let mut places: Vec<(&str, &Totals)> =
            trace.processes().iter().flat_map(Process::sites).map(|(site, totals)| (&**site, totals)).collect();
        if places.is_empty() {
            return Ok(());
        }
        places.sort_by(|one, other| other.1.peak_bytes.total_cmp(&one.1.peak_bytes).then(one.0.cmp(other.0)));
        let out = &mut self.out;
        writeln!(out, "{:>12}{:>12}{:>12}{:>12}{:>12}  place", "live", "peak", "made", "stores", "mean life")?;
        for (site, totals) in places.iter().take(SHOWN_PLACES) {
            writeln!(
                out,
                "{:>12}{:>12}{:>12}{:>12}{:>12}  {}",
                size(totals.live_bytes),
                size(totals.peak_bytes),
                size(totals.made_bytes),
                totals.made.round(),
                totals.mean_life().map_or("-".to_owned(), |life| format!("{life:.1?}")),
                visible::line(site),
            )?;
        }
        match places.len().saturating_sub(SHOWN_PLACES) {
            0 => writeln!(out),
            1 => writeln!(out, "and 1 further place\n"),
            more => writeln!(out, "and {more} further places\n"),
        }
    }
}

impl<W: Write> Sink for Terminal<W> {
    fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()> {
        match &line.event {
            Event::Refused(refused) => self.refusals.add(refused, trace.store()),
            Event::Notice(notice) => self.notices.add(notice, trace.store()),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, trace: &Trace) -> io::Result<()> {
        for (told, noun) in [(&self.refusals, "refusal"), (&self.notices, "notice")] {
            for refusal in told.kept() {
                let group = refusal.group(&mut self.sources);
                writeln!(self.out, "{}\n", self.renderer.render(&[group]))?;
            }
            if told.left_out() > 0 {
                let (number, noun) = counted(told.left_out() as f64, noun);
                writeln!(self.out, "and {number} further {noun}\n")?;
            }
        }
        self.living(trace)?;
        self.totals(trace)?;
        for process in trace.processes() {
            let named = if trace.processes().len() > 1 { format!("{}: ", name(process)) } else { String::new() };
            writeln!(self.out, "offheap: {named}{}", balance(trace, process))?;
        }
        self.out.flush()
    }
}

/// The process for people: `process 7, offheap run a.js`.
fn name(process: &Process) -> String {
    match &process.start.program {
        Some(program) => format!("process {}, {}", process.number, visible::line(program)),
        None => format!("process {}", process.number),
    }
}

/// In the words of the last line of `offheap run`.
fn balance(trace: &Trace, process: &Process) -> String {
    let totals = &process.totals;
    let (about, made, bytes) = made(process);
    let refused = process.refused;
    if process.has_ended && !process.has_leaks() {
        let live = totals.live.round();
        let noticed = process.noticed;
        format!("{about}{made}, {bytes} external, {live} alive at the end, {refused} refused, {noticed} to notice")
    } else if process.has_ended {
        let own = trace.live_stores().filter(|store| std::ptr::eq(&trace.processes()[store.process], process));
        let leaked = match process.counted {
            Some(counted) => counted.leaked as f64,
            None => own.filter(|store| trace.has_leaked(store)).fold(0.0, |sum, store| sum + store.weight).round(),
        };
        format!("{about}{made}, {bytes} external, {leaked} leaked, {refused} refused")
    } else {
        let live = totals.live.round();
        format!(
            "{about}{made}, {bytes} external, {live} live, {refused} refused; the process did not end in order or \
             still runs, so what lives is not called a leak"
        )
    }
}

/// The stores that were made: whether that is an estimate, how many there were, and their bytes. What the process itself counted
/// is exact.
fn made(process: &Process) -> (&'static str, String, Size) {
    let Some(told) = process.counted else {
        let (number, noun) = counted(process.totals.made, "store");
        return (about(process), format!("{number} {noun}"), size(process.totals.made_bytes));
    };
    let (number, noun) = counted(told.stores as f64, "store");
    let sorts: Vec<String> = [(told.resizable, "resizable"), (told.shared, "shared")]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, sort)| format!("{number} {sort}"))
        .collect();
    let sorts = if sorts.is_empty() { String::new() } else { format!(" ({})", sorts.join(", ")) };
    ("", format!("{number} {noun}{sorts}"), Size(told.bytes))
}

/// Sums of samples are estimates.
fn about(process: &Process) -> &'static str {
    if process.start.sample_bytes.is_some() { "about " } else { "" }
}

/// `1.5 KiB in 3 stores`.
fn amount(bytes: f64, stores: f64) -> String {
    let (number, noun) = counted(stores, "store");
    format!("{} in {number} {noun}", size(bytes))
}

fn size(bytes: f64) -> Size {
    // A conversion to an integer ends at its limits. Sums of estimates may fall a little below 0.
    Size(bytes.round() as u64)
}

fn counted(number: f64, noun: &str) -> (f64, String) {
    let number = number.round();
    (number, if number == 1.0 { noun.to_owned() } else { format!("{noun}s") })
}
