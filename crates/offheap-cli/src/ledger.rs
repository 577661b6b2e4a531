//! The ledger of `offheap run`, and the files that it writes.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use offheap_ledger::{Builder, Ledger};
use offheap_report::{Terminal, visible};

use crate::input::InputError;
use crate::options::{Format, Level, Report, Run};
use crate::{console, report};

/// The ledger of a run.
pub(crate) struct Recording {
    /// It observes from now on.
    pub(crate) ledger: &'static Ledger,
    /// Whether the end of the stream prints what lives.
    pub(crate) prints: bool,
    stream: Option<PathBuf>,
    page: Option<PathBuf>,
}

impl Recording {
    /// Installs the ledger. The files are made at once, so that a name that is wrong is told before the script runs.
    pub(crate) fn begin(options: &Run) -> Result<Self, InputError> {
        let level = match options.ledger {
            Some(Level::Counts) => offheap_ledger::Level::Counts,
            Some(Level::Sites) | None => offheap_ledger::Level::Sites,
            Some(Level::Full) => offheap_ledger::Level::Full,
        };
        let script = visible::line(&options.script().to_string_lossy());
        let mut builder = Builder::new(level).program(format!("offheap run {script}"));
        let (stream, page) = match &options.report {
            None => (None, None),
            Some(name) => files(name)?,
        };
        if let Some(stream) = &stream {
            builder = builder.stream_to_file(stream)?;
        }
        // At level `Counts` the stream has no places, and the lines of the ledger's own report have some.
        let prints = matches!(options.ledger, Some(Level::Sites | Level::Full));
        if prints {
            builder = builder.report(Terminal::new(console::Errors, report::wants_colours(&io::stderr())));
        }
        if let Some(page) = &page {
            report::create(page)?;
        }
        Ok(Recording { ledger: builder.install()?, prints, stream, page })
    }

    /// Writes everything that was recorded. Returns whether that worked. If it did not, the reason was told.
    pub(crate) fn finish(self) -> Result<bool, InputError> {
        // The ledger itself says why.
        if self.ledger.finish().is_err() {
            return Ok(false);
        }
        let (Some(stream), Some(page)) = (self.stream, self.page) else { return Ok(true) };
        let options = Report { format: Format::Html, output: Some(page), files: vec![stream] };
        Ok(report::report(&options)? != crate::BAD_INPUT)
    }
}

/// The files of the stream and of the page. A page is made of a stream, which stays beside it, for other reports.
fn files(report: &Path) -> Result<(Option<PathBuf>, Option<PathBuf>), InputError> {
    match report.extension().and_then(OsStr::to_str) {
        Some("jsonl") => Ok((Some(report.to_owned()), None)),
        Some("html") => Ok((Some(report.with_extension("jsonl")), Some(report.to_owned()))),
        _ => Err(InputError::ReportName { given: report.to_owned() }),
    }
}
