//! The short report at the end of an audit.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Write as _};
use std::sync::Arc;

use offheap_report::format::{Event, Line, Refused};
use offheap_report::{Problem, Sink, Size, Trace, follow, visible};

use super::child::Ended;
use super::stream::Stream;

/// At most this many errors, notices and places are told, of each.
const SHOWN: usize = 20;

pub(super) struct Summary {
    pub(super) text: String,
    /// Whether memory was freed in use, or twice.
    pub(super) has_errors: bool,
}

/// Reads what the library wrote.
pub(super) fn of(stream: &Stream, ended: &Ended) -> io::Result<Summary> {
    let mut first = Seen::default();
    let trace = read(stream, &mut first)?;
    add_end(stream, &trace, ended)?;
    // What lived when half of the buffers had been made shows what grew since.
    let half = first.made.iter().map(|made| made.div_ceil(2)).collect();
    let mut seen = Seen { half, ..Seen::default() };
    let trace = read(stream, &mut seen)?;
    Ok(Summary { text: seen.text(&trace), has_errors: trace.processes().iter().any(|process| process.refused > 0) })
}

fn read(stream: &Stream, seen: &mut Seen) -> io::Result<Trace> {
    let mut trace = Trace::default();
    follow("the record of the audit", BufReader::new(File::open(stream.path())?), &mut trace, seen)?;
    Ok(trace)
}

/// Bun calls no function at its exit, so its stream has no end. We know that it has ended, and how.
fn add_end(stream: &Stream, trace: &Trace, ended: &Ended) -> io::Result<()> {
    let open = |process: &&offheap_report::Process| process.number == ended.process && !process.has_ended;
    let Some(process) = trace.processes().iter().find(open).filter(|_| !ended.by_signal) else { return Ok(()) };
    let (number, time) = (process.number, process.time);
    let line = format!("{{\"event\":\"end\",\"process\":{number},\"time\":{time},\"leaks\":false}}\n");
    OpenOptions::new().append(true).open(stream.path())?.write_all(line.as_bytes())
}

type Place = (usize, Arc<str>);

#[derive(Default)]
struct Seen {
    errors: Told,
    notices: Told,
    addons: BTreeSet<String>,
    problems: u64,
    /// How many buffers each process has made so far.
    made: Vec<u64>,
    /// Half of all that it makes.
    half: Vec<u64>,
    /// What lived when that half was made, by process and place.
    then: HashMap<usize, HashMap<Place, f64>>,
}

impl Sink for Seen {
    fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()> {
        match &line.event {
            Event::Refused(refused) => self.errors.add(refused),
            Event::Notice(notice) => self.notices.add(notice),
            Event::Created(created) => {
                self.note_what_lives(trace);
                if let Some(addon) = created.labels.get("addon").filter(|addon| !self.addons.contains(*addon)) {
                    self.addons.insert(addon.clone());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn problem(&mut self, _: &Problem) -> io::Result<()> {
        self.problems += 1;
        Ok(())
    }

    fn finish(&mut self, _: &Trace) -> io::Result<()> {
        Ok(())
    }
}

impl Seen {
    fn note_what_lives(&mut self, trace: &Trace) {
        let Some(index) = trace.process_index() else { return };
        self.made.resize(trace.processes().len(), 0);
        self.made[index] += 1;
        if self.half.get(index) == Some(&self.made[index]) {
            let sites = trace.processes()[index].sites();
            self.then.insert(index, sites.map(|(site, totals)| ((index, site.clone()), totals.live_bytes)).collect());
        }
    }

    fn text(&self, trace: &Trace) -> String {
        if trace.processes().is_empty() {
            return "offheap: nothing was followed: no process with Node-API ran. Programs that are statically linked, that run \
                    as another user, or that are started without LD_PRELOAD are not seen"
                .to_owned();
        }
        let mut text = String::new();
        self.errors.write(&mut text, "error");
        self.notices.write(&mut text, "notice");
        let (alive, alive_bytes) = self.alive(trace, &mut text);
        if self.problems > 0 {
            let _ = writeln!(text, "offheap: {} of the record cannot be read", counted(self.problems, "line"));
        }
        let sum =
            |of: fn(&offheap_report::Totals) -> f64| trace.processes().iter().map(|it| of(&it.totals)).sum::<f64>();
        let (made, made_bytes) = (sum(|totals| totals.made) as u64, sum(|totals| totals.made_bytes) as u64);
        let _ = write!(
            text,
            "offheap: {} of {}",
            counted(made, "external buffer"),
            counted(self.addons.len() as u64, "addon")
        );
        if trace.processes().len() > 1 {
            let _ = write!(text, " in {} processes", trace.processes().len());
        }
        let _ = write!(text, ", {} in all; {alive} alive at the end", Size(made_bytes));
        if alive > 0 {
            let _ = write!(text, " ({})", Size(alive_bytes));
        }
        let _ = write!(text, ", {}, {}", counted(self.errors.all, "error"), counted(self.notices.all, "notice"));
        text
    }

    /// Tells what lives, by place and addon, the largest first. Returns how many buffers, and their bytes.
    fn alive(&self, trace: &Trace, text: &mut String) -> (u64, u64) {
        #[derive(Default)]
        struct Alive {
            buffers: u64,
            bytes: u64,
        }
        let mut places: HashMap<(usize, Option<&Arc<str>>, &str), Alive> = HashMap::new();
        for store in trace.live_stores() {
            let addon = store.labels().get("addon").map_or("", String::as_str);
            let alive = places.entry((store.process, store.site.as_ref(), addon)).or_default();
            alive.buffers += 1;
            alive.bytes += store.bytes;
        }
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_by(|(one, this), (other, that)| that.bytes.cmp(&this.bytes).then(one.cmp(other)));
        for ((process, site, addon), alive) in places.iter().take(SHOWN) {
            let place = site.map_or("an unknown place", |site| &**site);
            let _ = write!(
                text,
                "offheap: alive at the end: {} in {} of {}, made at {}",
                Size(alive.bytes),
                counted(alive.buffers, "buffer"),
                visible::line(addon),
                visible::line(place),
            );
            let grew = site.and_then(|site| {
                let now = trace.processes()[*process].site(site)?.live_bytes;
                Some(now - self.then.get(process)?.get(&(*process, site.clone())).copied().unwrap_or(0.0))
            });
            match grew {
                Some(grew) if grew >= 1.0 => {
                    let _ = writeln!(text, "; {} more than when half of all buffers had been made", Size(grew as u64));
                }
                _ => text.push('\n'),
            }
        }
        if places.len() > SHOWN {
            let _ = writeln!(text, "offheap: and of {} further places", places.len() - SHOWN);
        }
        places.iter().fold((0, 0), |(buffers, bytes), (_, alive)| (buffers + alive.buffers, bytes + alive.bytes))
    }
}

/// Each message once for a place, however often it came.
#[derive(Default)]
struct Told {
    kept: Vec<(Refused, u64)>,
    by_place: HashMap<(String, Option<String>, Option<String>), usize>,
    all: u64,
}

impl Told {
    fn add(&mut self, refused: &Refused) {
        self.all += 1;
        let key = (refused.code.clone(), refused.site.clone(), refused.earlier.clone());
        if let Some(&known) = self.by_place.get(&key) {
            self.kept[known].1 += 1;
        } else if self.kept.len() < SHOWN {
            self.by_place.insert(key, self.kept.len());
            self.kept.push((refused.clone(), 1));
        }
    }

    fn write(&self, text: &mut String, word: &str) {
        for (refused, times) in &self.kept {
            let times = if *times > 1 { format!(" ({times} times)") } else { String::new() };
            let (code, message) = (visible::line(&refused.code), visible::line(&refused.message));
            let _ = writeln!(text, "offheap: {word}[{code}]: {message}{times}");
        }
        let told: u64 = self.kept.iter().map(|(_, times)| times).sum();
        if self.all > told {
            let _ = writeln!(text, "offheap: and {}", counted(self.all - told, &format!("further {word}")));
        }
    }
}

fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
