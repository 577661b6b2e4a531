//! The lines of a stream. Each is one JSON object, and says what it is in its field `event`.
//!
//! Anything can write such a stream. `docs/ledger-format.md` describes it for those who do not use Rust.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The version of the format that this crate reads and writes. It changes when old readers would misread new lines; new
/// fields and new events do not change it.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The process that the line is about, by the number that its system gives it. Without it, that of the latest `start`
    /// before the line in the file; a `start` always has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<u64>,
    /// What it says.
    #[serde(flatten)]
    pub event: Event,
}

impl From<Event> for Line {
    fn from(event: Event) -> Self {
        Line { process: None, event }
    }
}

impl Line {
    /// Reads a line, with or without its end.
    ///
    /// # Errors
    /// It is no JSON object, has no `event` that this version knows, or lacks a field of that event.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        // Twice over the text is faster than serde's way to read an object whose tag may come last.
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            event: Cow<'a, str>,
            #[serde(default)]
            process: Option<u64>,
        }
        let text = str::from_utf8(text).map_err(|error| Malformed::NotUtf8 { column: error.valid_up_to() + 1 })?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Malformed::NoObject); // serde would read a list as the fields in their order
        }
        let Head { event, process } = serde_json::from_str(text).map_err(Malformed::syntax)?;
        let event = Event::parse(&event, text)?;
        event.check()?;
        Ok(Line { process, event })
    }
}

/// Why a line is not one of the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The text is not UTF-8.
    #[error("byte {column} of the line is not UTF-8, and the format is JSON in UTF-8")]
    NotUtf8 {
        /// The first byte that is wrong, counted from 1.
        column: usize,
    },
    /// The text does not begin as a JSON object.
    #[error("this is no JSON object, as every line of a ledger's stream is")]
    NoObject,
    /// The text is no JSON object with the fields of its event.
    #[error("{message} (column {column})")]
    Syntax {
        /// Where, counted from 1 in bytes.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// This version has no such event.
    #[error(
        "the event \"{event}\" is not one of version {VERSION} of the format; if a newer program wrote it, update offheap"
    )]
    Event {
        /// The word.
        event: String,
    },
    /// A number that no program can mean.
    #[error("\"{field}\" is {value}, which is more than any program has: the most is {most}")]
    Number {
        /// The field.
        field: &'static str,
        /// The number.
        value: String,
        /// The greatest that is read.
        most: u64,
    },
}

impl Malformed {
    fn syntax(error: serde_json::Error) -> Self {
        // A line is one line to serde_json, so that its number would mislead.
        let text = error.to_string();
        let message = shortened(text.split(" at line 1 column ").next().unwrap_or_default());
        Malformed::Syntax { column: error.column(), message }
    }
}

/// A message may have a whole string of the line in it.
fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// The most bytes that a store or all stores can have: what a number of JavaScript counts exactly.
pub const MOST_BYTES: u64 = 1 << 53;
/// The latest time, some 292 years.
pub const LATEST_TIME: u64 = i64::MAX as u64;
/// The latest date in milliseconds since 1970 that JavaScript has.
pub const LATEST_DATE: u64 = 8_640_000_000_000_000;

macro_rules! names {
    ($($word:literal = $name:ident($fields:ident)),* $(,)?) => {
        impl Event {
            /// All words that `event` can have.
            pub const NAMES: &[&str] = &[$($word),*];

            fn parse(name: &str, text: &str) -> Result<Event, Malformed> {
                match name {
                    $($word => serde_json::from_str::<$fields>(text).map(Event::$name).map_err(Malformed::syntax),)*
                    _ => Err(Malformed::Event { event: shortened(name) }),
                }
            }

            /// The word in `event`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Event::$name(_) => $word,)*
                }
            }
        }
    };
}

names! {
    "start" = Start(Start), "thread" = Thread(Thread), "isolate" = Isolate(Isolate), "stack" = Stack(Stack),
    "created" = Created(Created), "exposed" = Exposed(Change), "externalized" = Externalized(Change),
    "detached" = Detached(Change), "transferred" = Transferred(Change), "resized" = Resized(Change),
    "released" = Released(Change), "freed" = Freed(Change), "referenced" = Referenced(Reference),
    "dropped" = Dropped(Dropped), "static" = Static(Change), "refused" = Refused(Refused), "notice" = Notice(Refused),
    "holders" = Holders(Holders), "totals" = Totals(Counted), "end" = End(End),
}

impl Event {
    /// When it happened, in nanoseconds since the process's start.
    pub fn time(&self) -> Option<u64> {
        match self {
            Event::Start(_) | Event::Thread(_) | Event::Isolate(_) | Event::Stack(_) => None,
            Event::Created(created) => Some(created.time),
            Event::Exposed(change)
            | Event::Externalized(change)
            | Event::Detached(change)
            | Event::Transferred(change)
            | Event::Resized(change)
            | Event::Released(change)
            | Event::Freed(change)
            | Event::Static(change) => Some(change.time),
            Event::Referenced(reference) => Some(reference.time),
            Event::Dropped(dropped) => Some(dropped.time),
            Event::Refused(refused) | Event::Notice(refused) => Some(refused.time),
            Event::Holders(holders) => Some(holders.time),
            Event::Totals(counted) => Some(counted.time),
            Event::End(end) => Some(end.time),
        }
    }

    fn check(&self) -> Result<(), Malformed> {
        let number = |field, value: Option<u64>, most| match value {
            Some(value) if value > most => Err(Malformed::Number { field, value: value.to_string(), most }),
            _ => Ok(()),
        };
        number("time", self.time(), LATEST_TIME)?;
        match self {
            Event::Start(start) => {
                number("sample_bytes", start.sample_bytes, MOST_BYTES)?;
                number("unix_milliseconds", start.unix_milliseconds, LATEST_DATE)
            }
            Event::Created(created) => {
                number("bytes", Some(created.bytes), MOST_BYTES)?;
                match created.weight {
                    Some(weight) if !(0.0..=MOST_BYTES as f64).contains(&weight) => {
                        Err(Malformed::Number { field: "weight", value: weight.to_string(), most: MOST_BYTES })
                    }
                    _ => Ok(()),
                }
            }
            Event::Resized(change) => number("bytes", change.bytes, MOST_BYTES),
            Event::Totals(counted) => number("bytes", Some(counted.bytes), MOST_BYTES),
            _ => Ok(()),
        }
    }
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A process begins. The first line of its lines.
    Start(Start),
    /// A thread has a name.
    Thread(Thread),
    /// An isolate of an engine was made, or was named.
    Isolate(Isolate),
    /// A stack that other lines refer to by its number.
    Stack(Stack),
    /// A store was made.
    Created(Created),
    /// An engine got a buffer over the store.
    Exposed(Change),
    /// Native code took a reference to the store of an engine's buffer.
    Externalized(Change),
    /// A buffer over the store was detached.
    Detached(Change),
    /// The memory moved from one buffer to another (`transfer`, `postMessage`).
    Transferred(Change),
    /// The store's length changed to `bytes`.
    Resized(Change),
    /// An engine released a buffer over the store.
    Released(Change),
    /// The memory was freed, or its owner was given back.
    Freed(Change),
    /// Native code took a reference.
    Referenced(Reference),
    /// A reference was dropped.
    Dropped(Dropped),
    /// The program said that the store is meant to stay.
    Static(Change),
    /// Something was refused or is an error: a double free, a free in use, a use after detach.
    Refused(Refused),
    /// Something that may be right, and is worth a look.
    Notice(Refused),
    /// Who holds the store now. The latest such line counts.
    Holders(Holders),
    /// The process counted its stores itself.
    Totals(Counted),
    /// A process ends in order. Whatever lives then has leaked, unless it is static, or this line says otherwise.
    End(End),
}

/// A process begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The version of the format.
    pub version: u32,
    /// What was started, for people: `offheap run examples/leak.js`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The level of the ledger: `counts`, `sites` or `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The mean number of bytes between two samples, if only samples are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_bytes: Option<u64>,
    /// When the process began, in milliseconds since 1970 (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix_milliseconds: Option<u64>,
    /// What else is to be said of the process.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// Further facts by name, for people and for filters.
pub type Labels = std::collections::BTreeMap<String, String>;

/// A thread and its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// The thread's number: any that no other thread of the process has.
    pub thread: u64,
    /// Its name.
    pub name: String,
}

/// An isolate of an engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Isolate {
    /// The isolate's number. It may be used again by a later isolate, which is then told by a line of its own.
    pub isolate: u64,
    /// The engine: `QuickJS`, `V8`.
    pub engine: String,
    /// The name that the program gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A stack, which other lines refer to by its number: before this line or after it. A process may tell its stacks at its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    /// The stack's number.
    pub stack: u64,
    /// Its frames, the innermost first.
    pub frames: Vec<Frame>,
}

/// One frame of a stack. Everything that is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    /// The function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The place: `file:line:column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The address in the program's memory, for code whose function is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<u64>,
}

/// In one line: `function (file:line:column)`, or what is known of it.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.function, &self.site, self.address) {
            (Some(function), Some(site), _) => write!(f, "{function} ({site})"),
            (Some(name), None, _) | (None, Some(name), _) => f.write_str(name),
            (None, None, Some(address)) => write!(f, "{address:#x}"),
            (None, None, None) => f.write_str("?"),
        }
    }
}

/// A store was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// Nanoseconds since the process's start.
    pub time: u64,
    /// The store: a number that no other store of the process ever gets.
    pub store: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The thread that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<u64>,
    /// The kind of its memory: `fixed`, `resizable`, `shared`, `frozen`, `manual`, `mapped`, or another word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The place that made it: `file:line:column`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The stack that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<u64>,
    /// How many stores this one stands for, if only samples are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// What else is to be said of it.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// Something happened to a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Nanoseconds since the process's start.
    pub time: u64,
    /// The store.
    pub store: u64,
    /// Its length in bytes from now on, if that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The thread on which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<u64>,
    /// The isolate whose buffer it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolate: Option<u64>,
    /// The place that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The stack that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<u64>,
}

/// Native code took a reference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Nanoseconds since the process's start.
    pub time: u64,
    /// The store.
    pub store: u64,
    /// The reference: a number that no other reference of the process ever gets.
    pub reference: u64,
    /// The first byte of the part that it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The byte after the last of that part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// The thread that took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<u64>,
    /// The place that took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

/// A reference was dropped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// Nanoseconds since the process's start.
    pub time: u64,
    /// The store.
    pub store: u64,
    /// The reference.
    pub reference: u64,
}

/// Something was refused, or is to be noticed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// Nanoseconds since the process's start.
    pub time: u64,
    /// The error's code: `DOUBLE_FREE`, `FREE_IN_USE`, `UNKNOWN_ADDRESS`, `DETACHED`; of an audit `FREED_IN_USE` and
    /// `FINALIZED_TWICE`, and as a notice `WRAPPED_TWICE`.
    pub code: String,
    /// What happened, as a sentence that names the places.
    pub message: String,
    /// The store, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<u64>,
    /// The thread on which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<u64>,
    /// The place that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The stack that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<u64>,
    /// The place that came first: the first free, the detaching, the holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<String>,
}

/// Who holds a store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Holders {
    /// Nanoseconds since the process's start.
    pub time: u64,
    /// The store.
    pub store: u64,
    /// How many references native code has, parts included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<u64>,
    /// How many weak handles there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weak: Option<u64>,
    /// How many guards read its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readers: Option<u64>,
    /// Whether a guard writes its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<bool>,
    /// Its live buffers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buffers: Vec<Buffers>,
}

/// Live buffers in one isolate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Buffers {
    /// The isolate, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolate: Option<u64>,
    /// How many buffers.
    pub count: u64,
    /// The place in script that waited when the engine got one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The path of objects that keeps one of them alive, from the global object on, if the engine was asked for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
}

/// What a process has counted itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Nanoseconds since the process's start.
    pub time: u64,
    /// How many stores were made.
    pub stores: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them are unshared memory whose length changes.
    #[serde(default)]
    pub resizable: u64,
    /// How many of them are shared.
    #[serde(default)]
    pub shared: u64,
    /// How many of them live and are not static.
    pub leaked: u64,
}

/// A process ends in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Nanoseconds since the process's start.
    pub time: u64,
    /// Whether what lives has leaked. It has, if nothing is said. `false` where a garbage collector would have freed it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaks: Option<bool>,
}
