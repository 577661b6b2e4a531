//! Making and installing a ledger.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use offheap::observe;
use offheap_report::Sink;
use offheap_report::format::Line;

use crate::ledger::Settings;
use crate::output::{All, Function, Output, Text};
use crate::reporting::Report;
use crate::{Error, Ledger, Level, sys};

/// The events that a history keeps if the program does not say otherwise.
pub const HISTORY: usize = 32;

static INSTALLED: OnceLock<&'static Ledger> = OnceLock::new();

/// Makes a ledger, and sets it as the observer of this process. It lives as long as the process.
///
/// Earlier events are not replayed. A store that already exists first appears at its next event, unless that event is its
/// end.
///
/// # Errors
/// [`Error::ObserverSet`] if the process already has an observer. That observer can forward its events to a ledger that
/// [`Builder::make`] made.
pub fn install(level: Level) -> Result<&'static Ledger, Error> {
    Builder::new(level).install()
}

/// The ledger that observes this process, if one was installed.
pub fn installed() -> Option<&'static Ledger> {
    INSTALLED.get().copied()
}

/// How a ledger is to be.
#[must_use = "nothing is made before `install`"]
pub struct Builder {
    settings: Settings,
    outputs: Vec<Box<dyn Output>>,
    program: Option<String>,
}

impl Builder {
    /// A ledger of this level.
    pub fn new(level: Level) -> Self {
        let settings = Settings { level, sample_bytes: None, history: HISTORY, is_observer: false };
        Builder { settings, outputs: Vec::new(), program: None }
    }

    /// Records only samples: on average one store in `bytes` allocated bytes, long ones more often than short ones. What
    /// the ledger says is then an estimate, whose mean is right. For production: 512 KiB is a good start.
    ///
    /// On Linux, the times of its events come from the system's coarse clock (`CLOCK_MONOTONIC_COARSE`). It moves in steps of 1 to 10
    /// milliseconds. Mean lives are right, and the life of one store may be wrong by a step.
    pub fn sample_bytes(mut self, bytes: u64) -> Self {
        self.settings.sample_bytes = Some(bytes);
        self
    }

    /// How many events of each live store are kept at level `Full`, if not [`HISTORY`]. At least 2 are.
    pub fn history(mut self, events: usize) -> Self {
        self.settings.history = events.max(2);
        self
    }

    /// What the stream calls the program, if not the name of its file.
    pub fn program(mut self, name: impl Into<String>) -> Self {
        self.program = Some(name.into());
        self
    }

    /// Writes the stream: one JSON object a line ([`offheap_report::format`]). A thread of the ledger's own writes, in
    /// large blocks; it must not have to wait for a thread of the program. A panic or an error of `to` ends the stream, and
    /// is said on standard error; the program goes on.
    ///
    /// If the program makes events faster than they can be written, it waits for the writer, so that no event is lost.
    ///
    /// A ledger may have several streams and reports. One that fails ends, and the others go on.
    pub fn stream(mut self, to: impl Write + Send + 'static) -> Self {
        self.outputs.push(Box::new(Text::new(to)));
        self
    }

    /// Gives each line of the stream to a function, on a thread of the ledger's own; see [`stream`](Self::stream).
    pub fn stream_lines(mut self, to: impl FnMut(&Line) -> io::Result<()> + Send + 'static) -> Self {
        self.outputs.push(Box::new(Function(to)));
        self
    }

    /// Makes a report of the stream: each line goes to `to`, a format of `offheap-report`, which is finished when the stream ends.
    pub fn report(mut self, to: impl Sink + Send + 'static) -> Self {
        self.outputs.push(Box::new(Report::new(to)));
        self
    }

    /// Writes the stream into a new file.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be made.
    pub fn stream_to_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        let file = create(path.as_ref())?;
        Ok(self.stream(file))
    }

    /// Writes the stream into a new file: as a page if its name ends with `.html`, and otherwise as it is.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be made; [`Error::Setting`] for a page, without the feature `html`.
    pub fn report_to_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        match path.as_ref().extension().is_some_and(|extension| extension == "html") {
            #[cfg(feature = "html")]
            true => {
                let file = create(path.as_ref())?;
                Ok(self.report(offheap_report::Html::new(file)))
            }
            #[cfg(not(feature = "html"))]
            true => Err(Error::Setting { problem: "this program was built without pages: the feature `html`".into() }),
            false => self.stream_to_file(path),
        }
    }

    /// Makes the ledger, and sets it as the observer of this process.
    ///
    /// # Errors
    /// [`Error::ObserverSet`]; [`Error::Stream`] if the stream's thread cannot be made.
    pub fn install(self) -> Result<&'static Ledger, Error> {
        let Builder { settings, outputs, program } = self;
        let ledger = Ledger::make(Settings { is_observer: true, ..settings });
        observe::set_observer(ledger).map_err(|_| Error::ObserverSet)?;
        INSTALLED.set(ledger).unwrap_or_else(|_| unreachable!("a process has one observer"));
        if let Some(output) = All::of(outputs) {
            ledger.begin_stream(output, program.unwrap_or_else(program_name))?;
            sys::at_exit(finish_installed);
        }
        Ok(ledger)
    }

    /// Makes a ledger that receives no events, for an observer of the program's own to forward them to: a ledger is an
    /// `Observer`. It lives as long as the process.
    ///
    /// # Errors
    /// [`Error::Stream`] if the stream's thread cannot be made. The program must [finish](Ledger::finish) such a stream.
    pub fn make(self) -> Result<&'static Ledger, Error> {
        let ledger = Ledger::make(self.settings);
        if let Some(output) = All::of(self.outputs) {
            ledger.begin_stream(output, self.program.unwrap_or_else(program_name))?;
        }
        Ok(ledger)
    }
}

fn create(path: &Path) -> Result<File, Error> {
    File::create(path).map_err(|source| Error::File { path: PathBuf::from(path), source })
}

/// Called when the process exits.
fn finish_installed() {
    if let Some(ledger) = installed() {
        // A failure was said on standard error.
        let _ = ledger.finish();
    }
}

/// The name of the program's file, without its arguments, which may be secret.
fn program_name() -> String {
    let first = std::env::args_os().next().unwrap_or_default();
    Path::new(&first).file_name().unwrap_or_default().to_string_lossy().into_owned()
}
