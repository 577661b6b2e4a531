//! What the page's script gets: one JSON value, in a block of data that the browser does not run.
//!
//! Texts, threads, isolates, stacks and processes are numbers there: the index in their list, or -1 for none.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// The whole page.
#[derive(Default, Serialize)]
pub(super) struct Page {
    pub(super) processes: Vec<Process>,
    pub(super) words: Vec<String>,
    /// Function, place, address.
    pub(super) frames: Vec<(i64, i64, Option<String>)>,
    pub(super) stacks: Vec<Vec<u32>>,
    /// Process, number, name.
    pub(super) threads: Vec<(usize, u64, Option<String>)>,
    /// Process, number, engine, name.
    pub(super) isolates: Vec<(usize, u64, i64, i64)>,
    /// The names of the engines. A set of engines is a number with the bit of each set.
    pub(super) engines: Vec<String>,
    /// The names of the kinds of steps.
    pub(super) kinds: &'static [&'static str],
    pub(super) errors: Vec<Error>,
    pub(super) stores: Vec<Store>,
    pub(super) stores_in_all: u64,
    pub(super) noticed: Vec<String>,
    pub(super) noticed_in_all: u64,
    pub(super) problems: Vec<String>,
    pub(super) problems_in_all: u64,
}

#[derive(Serialize)]
pub(super) struct Process {
    pub(super) number: u64,
    pub(super) file: String,
    pub(super) program: Option<String>,
    pub(super) level: Option<String>,
    pub(super) sample_bytes: Option<u64>,
    pub(super) began: Option<u64>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) ended: bool,
    pub(super) refused: u64,
    pub(super) time: u64,
    /// Stores and bytes.
    pub(super) made: (f64, f64),
    pub(super) live: (f64, f64),
    pub(super) leaked: (f64, f64),
    pub(super) peak: f64,
    /// The length of a step of time in nanoseconds, as a power of two.
    pub(super) shift: u32,
    /// Step, bytes at its end, most bytes within it.
    pub(super) total: Vec<(u32, f64, f64)>,
    /// Set of engines, and steps with the bytes at their end.
    pub(super) by_engine: Vec<(u32, Points)>,
    pub(super) places: Vec<Place>,
    pub(super) places_in_all: usize,
}

pub(super) type Points = Vec<(u32, f64)>;

#[derive(Serialize)]
pub(super) struct Place {
    pub(super) site: i64,
    pub(super) made: (f64, f64),
    pub(super) live: (f64, f64),
    pub(super) leaked: (f64, f64),
    pub(super) peak: f64,
    /// The mean life in nanoseconds of those that were freed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) life: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) points: Points,
}

#[derive(Serialize)]
pub(super) struct Error {
    pub(super) process: usize,
    pub(super) time: u64,
    pub(super) code: String,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) store: Option<String>,
    pub(super) thread: i64,
    pub(super) site: i64,
    pub(super) stack: i64,
    pub(super) earlier: i64,
}

#[derive(Serialize)]
pub(super) struct Store {
    pub(super) process: usize,
    /// As text: a number of 64 bits is more than a number of JavaScript holds.
    pub(super) store: String,
    pub(super) born: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) died: Option<u64>,
    pub(super) bytes: u64,
    #[serde(skip_serializing_if = "is_one")]
    pub(super) weight: f64,
    pub(super) kind: i64,
    pub(super) thread: i64,
    pub(super) site: i64,
    pub(super) stack: i64,
    /// Thread, place and stack of the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<(i64, i64, i64)>,
    pub(super) engines: u32,
    pub(super) state: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) error: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    /// Kind, time, thread, isolate, place, stack, number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) steps: Vec<(u8, u64, i64, i64, i64, i64, u64)>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) steps_left_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) holders: Option<Held>,
}

/// Who holds a store at the end.
#[derive(Default, Serialize)]
pub(super) struct Held {
    pub(super) references: Option<u64>,
    pub(super) weak: Option<u64>,
    pub(super) readers: Option<u64>,
    pub(super) writer: Option<bool>,
    /// Isolate, how many, the path of objects.
    pub(super) buffers: Vec<(i64, u64, Vec<String>, String)>,
    /// References whose places are told.
    pub(super) taken: Vec<Taken>,
    pub(super) taken_in_all: usize,
}

#[derive(Serialize)]
pub(super) struct Taken {
    pub(super) reference: String,
    pub(super) site: i64,
    pub(super) thread: i64,
    pub(super) time: u64,
    /// The part that it refers to: its first byte, and the byte after its last.
    pub(super) from: Option<u64>,
    pub(super) to: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_one(weight: &f64) -> bool {
    *weight == 1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Writes JSON that no parser of HTML or JavaScript takes for anything else: names come from scripts, and may contain
/// `</script>`.
struct InPage(CompactFormatter);

impl Formatter for InPage {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            out.write_all(&rest.as_bytes()[..at])?;
            let mut after = rest[at..].chars();
            write!(out, "\\u{:04x}", after.next().map_or(0, u32::from))?;
            rest = after.as_str();
        }
        out.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, out: &mut W, escape: CharEscape) -> io::Result<()> {
        self.0.write_char_escape(out, escape)
    }
}

/// Writes the data of the page.
pub(super) fn write(out: &mut impl Write, page: &Page) -> io::Result<()> {
    let mut writer = serde_json::Serializer::with_formatter(out, InPage(CompactFormatter));
    page.serialize(&mut writer).map_err(io::Error::from)
}
