//! The lines that the audit writes: the stream of a ledger, as `docs/ledger-format.md` describes it. Each line is written at
//! once, since a process may end in any way.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::stack::Frame;
use crate::sys;

/// The file for the lines. Without this variable nothing is followed.
const FILE: &str = "OFFHEAP_AUDIT";
/// Set if whole stacks are wanted.
const STACKS: &str = "OFFHEAP_AUDIT_STACKS";

struct Stream {
    file: File,
    /// Device and number of the file: a program may close our descriptor, and get the same one for a file of its own.
    identity: (u64, u64),
    process: u32,
    began: Instant,
    wants_stacks: bool,
}

static STREAM: OnceLock<Option<Stream>> = OnceLock::new();

const WRITES: u8 = 0;
const ENDED: u8 = 1;
static STATE: AtomicU8 = AtomicU8::new(WRITES);

/// Opens the file, once in a process. Returns whether there is one.
pub(crate) fn begin() -> bool {
    let stream = STREAM.get_or_init(|| {
        let path = std::env::var_os(FILE)?;
        match open(&path) {
            Ok(stream) => Some(stream),
            Err(error) => {
                complain(&format!("cannot write to {}: {error}; this process is not followed", path.display()));
                None
            }
        }
    });
    let Some(stream) = stream else { return false };
    // Only the first caller comes to a stream that has no number 1 for this thread yet.
    static TOLD: AtomicU8 = AtomicU8::new(0);
    if TOLD.swap(1, Ordering::AcqRel) == 0 {
        tell_start(stream);
    }
    true
}

fn open(path: &OsStr) -> std::io::Result<Stream> {
    let file = sys::move_descriptor_up(OpenOptions::new().append(true).open(path)?);
    let metadata = file.metadata()?;
    Ok(Stream {
        file,
        identity: (metadata.dev(), metadata.ino()),
        process: std::process::id(),
        began: Instant::now(),
        wants_stacks: std::env::var_os(STACKS).is_some(),
    })
}

fn tell_start(stream: &Stream) {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let command = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    let words: Vec<_> = command.trim_ascii_end().split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    write(&format!(
        r#"{{"event":"start","version":1,"process":{},"program":{},"level":"full","unix_milliseconds":{unix},"labels":{{"audit":{}}}}}"#,
        stream.process,
        Text(words.join(" ").trim()),
        Text(sys::about()),
    ));
}

pub(crate) fn wants_stacks() -> bool {
    STREAM.get().and_then(Option::as_ref).is_some_and(|stream| stream.wants_stacks)
}

/// The process ends. Its engine would have freed what lives, so that is no leak.
pub(crate) fn end() {
    tell(Line::new("end").is("leaks", false));
    STATE.store(ENDED, Ordering::Release);
}

/// Nothing is written any more, as in a child that was forked.
pub(crate) fn abandon() {
    STATE.store(ENDED, Ordering::Release);
}

/// A line, field by field.
pub(crate) struct Line(String);

impl Line {
    pub(crate) fn new(event: &str) -> Self {
        let stream = STREAM.get().and_then(Option::as_ref);
        let (process, time) = stream.map_or((0, 0), |stream| (stream.process, stream.began.elapsed().as_nanos()));
        Line(format!(r#"{{"event":"{event}","process":{process},"time":{time}"#))
    }

    pub(crate) fn number(mut self, name: &str, value: u64) -> Self {
        let _ = write!(self.0, r#","{name}":{value}"#);
        self
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        let _ = write!(self.0, r#","{name}":{}"#, Text(value));
        self
    }

    pub(crate) fn is(mut self, name: &str, value: bool) -> Self {
        let _ = write!(self.0, r#","{name}":{value}"#);
        self
    }

    /// The field `labels`.
    pub(crate) fn labels(mut self, labels: &[(&str, &str)]) -> Self {
        self.0.push_str(r#","labels":{"#);
        for (index, (name, value)) in labels.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(self.0, r#"{comma}"{name}":{}"#, Text(value));
        }
        self.0.push('}');
        self
    }

    /// The fields `site` and, if stacks are wanted, `stack`.
    pub(crate) fn stack(self, frames: &[Frame]) -> Self {
        let Some(first) = frames.first() else { return self };
        let line = self.text("site", &first.site);
        match wants_stacks() {
            true => line.number("stack", number_of(frames)),
            false => line,
        }
    }

    /// The field `thread`: this one.
    pub(crate) fn on_this_thread(self) -> Self {
        self.number("thread", this_thread())
    }
}

pub(crate) fn tell(line: Line) {
    let Line(mut text) = line;
    text.push('}');
    write(&text);
}

fn write(text: &str) {
    let Some(Some(stream)) = STREAM.get() else { return };
    if STATE.load(Ordering::Acquire) == ENDED {
        return;
    }
    let identity = stream.file.metadata().map(|metadata| (metadata.dev(), metadata.ino()));
    if identity.ok() != Some(stream.identity) {
        return give_up("the program closed the file of the audit");
    }
    // One call for each line: several processes and threads write to this file.
    if let Err(error) = (&stream.file).write_all(format!("{text}\n").as_bytes()) {
        give_up(&format!("cannot write what the audit saw: {error}"));
    }
}

fn give_up(why: &str) {
    if STATE.swap(ENDED, Ordering::AcqRel) != ENDED {
        complain(&format!("{why}; nothing more of process {} is recorded", std::process::id()));
    }
}

/// Where the standard error cannot be written, there is nobody left to tell.
fn complain(what: &str) {
    let _ = writeln!(std::io::stderr(), "offheap: {what}");
}

/// The number of a stack. The first time, a line tells the stack.
fn number_of(frames: &[Frame]) -> u64 {
    static KNOWN: Mutex<Option<HashMap<Vec<Frame>, u64>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(&number) = known.get(frames) {
        return number;
    }
    let number = known.len() as u64 + 1;
    known.insert(frames.to_vec(), number);
    let process = std::process::id();
    let mut text = format!(r#"{{"event":"stack","process":{process},"stack":{number},"frames":["#);
    for (index, frame) in frames.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}{{"site":{}"#, Text(&frame.site));
        if let Some(function) = &frame.function {
            let _ = write!(text, r#","function":{}"#, Text(function));
        }
        text.push('}');
    }
    text.push_str("]}");
    write(&text);
    number
}

/// The number of this thread. The first time, a line tells its name.
pub(crate) fn this_thread() -> u64 {
    thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NUMBER
        .try_with(|number| {
            if number.get() == 0 {
                number.set(NEXT.fetch_add(1, Ordering::Relaxed));
                tell_thread(number.get());
            }
            number.get()
        })
        // A thread that ends has no number any more.
        .unwrap_or(0)
}

pub(crate) fn is_main_thread() -> bool {
    sys::thread_number() == u64::from(std::process::id())
}

fn tell_thread(number: u64) {
    let name = match is_main_thread() {
        true => "main".to_owned(),
        false => std::fs::read_to_string("/proc/thread-self/comm").unwrap_or_default().trim_end().to_owned(),
    };
    let process = std::process::id();
    write(&format!(r#"{{"event":"thread","process":{process},"thread":{number},"name":{}}}"#, Text(&name)));
}

/// A text as JSON has it.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\0'..='\x1f' => write!(f, "\\u{:04x}", character as u32)?,
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_json() {
        assert_eq!(Text("a\"b\\c\n\0é").to_string(), r#""a\"b\\c\u000a\u0000é""#);
    }

    #[test]
    fn a_line_has_its_fields() {
        let line = Line::new("freed")
            .number("store", 3)
            .text("code", "A")
            .labels(&[("a", "b"), ("c", "d")])
            .is("leaks", false);
        let rest = r#","store":3,"code":"A","labels":{"a":"b","c":"d"},"leaks":false"#;
        assert!(line.0.starts_with(r#"{"event":"freed","process":"#) && line.0.ends_with(rest), "{}", line.0);
    }
}
