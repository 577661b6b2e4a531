//! Errors of what the command was given. Each is a line that says what to do, and makes the exit status 2.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// Wrong usage, or input that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[cfg(not(feature = "v8"))]
    #[error(
        "this build has no V8; build it with the feature v8 (cargo build --release --features v8), or leave out --engine"
    )]
    NoV8,
    #[error("the argument {} is not UTF-8, and script has no other text; give the script another", given.display())]
    ArgumentNotText { given: OsString },
    #[error(
        "cannot read --map {}: write NAME=FILE:ro (or NAME=FILE), NAME=FILE:cow or NAME=FILE:rw, where script finds the \
         file as nativeModule.mapped.NAME",
        given.display()
    )]
    MapForm { given: OsString },
    #[error("two maps are named {name}; give each --map a name of its own")]
    NameTwice { name: String },
    #[error(transparent)]
    Map(offheap::Error),
    /// There is no such file, and its name has a colon, which may have been meant for a mode.
    #[error("{0}; the modes are :ro, :cow and :rw")]
    MapMode(offheap::Error),
    #[error("cannot keep freed memory: {0}; leave out --quarantine")]
    Quarantine(offheap::Error),
    #[error(transparent)]
    Ledger(#[from] offheap_ledger::Error),
    #[error(
        "cannot write --report {}: name a file that ends with .html for a page, or with .jsonl for what the ledger records, as it \
         is",
        given.display()
    )]
    ReportName { given: PathBuf },
    #[cfg(not(offheap_audit))]
    #[error(
        "this build cannot audit: that needs Linux on x86-64 with glibc; run it there, the report of its stream can be made \
         anywhere"
    )]
    NoAudit,
    #[error("cannot start {}: {error}; check the name and the permissions", program.display())]
    Start { program: OsString, error: io::Error },
    #[error("cannot write the page {}: its name must end with .html", given.display())]
    PageName { given: PathBuf },
    #[error("cannot prepare the audit: {0}")]
    Audit(io::Error),
    #[error("the report would overwrite its own input {}; give --output another name", name.display())]
    OutputIsInput { name: PathBuf },
    #[error("a terminal cannot show the format pprof; name a file with --output")]
    OutputIsTerminal,
    #[error("cannot write the report to {name}: {error}; {advice}", advice = write_advice(error))]
    Output { name: String, error: io::Error },
    #[error(transparent)]
    Script(#[from] offheap_run::Error),
}

fn write_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::BrokenPipe => "what read it has ended",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room, or name a file on another disk with --output",
        _ => "check the name and the permissions, or name another file with --output",
    }
}
