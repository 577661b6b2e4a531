//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process;

use clap::{Parser, Subcommand, ValueEnum};

use crate::input::InputError;
use crate::{BAD_INPUT, console};

const AFTER_RUN: &str = "\
Exit status: 0 no error; 1 the script threw; 2 wrong usage or unreadable input; 3 a memory error: a leak, a double free, or a
free of memory in use, even if the script caught the error.";

const AFTER_AUDIT: &str = "\
Only on Linux x86-64 with glibc. Nothing is recompiled. Processes that the program starts are followed too.

Exit status: 3 if memory was freed in use or freed twice; otherwise that of the program, 128 and the number of the signal if one
ended it; 2 wrong usage, or a file that cannot be written.";

const AFTER_REPORT: &str = "\
Exit status: 0 nothing leaked and nothing was refused; 2 wrong usage, or input that cannot be read, after everything that can
be; 3 a memory error: a leak, a double free, a free of memory in use, or a use after detach.";

#[derive(Debug, Parser)]
#[command(name = "offheap", version, about = "Runs scripts that use native memory, and reports leaks and double frees")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a script with the global `nativeModule`
    #[command(override_usage = "offheap run [OPTIONS] <SCRIPT> [ARG]...", after_help = AFTER_RUN)]
    Run(Run),
    /// Follows the external buffers of addons in Node, Deno and Bun: freed in use, freed twice, alive at the end
    #[command(override_usage = "offheap audit [OPTIONS] [--] <PROGRAM> [ARG]...", after_help = AFTER_AUDIT)]
    Audit(Audit),
    /// Shows what ledgers wrote: what lives or leaked, who holds it, and what was refused
    #[command(after_help = AFTER_REPORT)]
    Report(Report),
}

/// The options of `offheap run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The engine that runs the script
    #[arg(long, value_enum, default_value_t = Engine::Quickjs)]
    pub(crate) engine: Engine,

    /// Maps a file as `nativeModule.mapped.NAME`: read-only (ro, the default), private and writable (cow), or written
    /// through to the file (rw); buffers over the writable ones are SharedArrayBuffers
    #[arg(long = "map", value_name = "NAME=FILE[:ro|:cow|:rw]")]
    pub(crate) maps: Vec<OsString>,

    /// Prints at the end what lives, the largest first, with its lines of source and who holds it. LEVEL says how much the ledger
    /// records: the place and stack of each store (sites, the default), or all that happens to each (full); or only how many
    /// there were (counts), with the short report
    #[arg(
        long,
        value_enum,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "sites"
    )]
    pub(crate) ledger: Option<Level>,

    /// Keeps freed memory without access, at most 1 GiB of addresses: native code that still uses a part of it ends the process
    /// with a line that names the memory and its free
    #[arg(long)]
    pub(crate) quarantine: bool,

    /// Writes what the ledger records: as it is into a file whose name ends with .jsonl; or as one page to look at, into a
    /// file whose name ends with .html, with the .jsonl file beside it
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// A classic script, or an ES module (.mjs, or with import or export at its top level), and its arguments
    #[arg(value_name = "SCRIPT", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// The options of `offheap audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    /// Records the whole stack of script that made each buffer, and not only its line; this costs more
    #[arg(long)]
    pub(crate) stacks: bool,

    /// Writes one page to look at, into this file
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,

    /// Writes what the audit records, as it is, into this file; `offheap report` reads it
    #[arg(short, long, value_name = "FILE.jsonl")]
    pub(crate) output: Option<PathBuf>,

    /// The program, and its arguments
    #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
}

/// The options of `offheap report`.
#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// The kind of report
    #[arg(long, value_enum, default_value_t = Format::Terminal)]
    pub(crate) format: Format,

    /// Writes the report to this file, and not to the standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Streams of ledgers, of one process or several; - is the standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// The kinds of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// What was refused and what lives, with the lines of source files around it
    Terminal,
    /// One page that any browser opens, without a network
    Html,
    /// A trace for ui.perfetto.dev
    Perfetto,
    /// A profile for profiler.firefox.com
    Firefox,
    /// A profile for pprof
    Pprof,
    /// A summary for programs
    Json,
}

/// The levels of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Counts,
    Sites,
    Full,
}

/// The engines that the command knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Quickjs,
    V8,
}

/// Parses the command line of this process. Ends the process where that fails, or where it asks for help.
pub(crate) fn parse() -> Command {
    let parsed = Options::try_parse().unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        console::error_lines(error.to_string().trim_end());
        process::exit(BAD_INPUT);
    });
    parsed.command
}

impl Run {
    /// The script's file.
    pub(crate) fn script(&self) -> &OsStr {
        self.command.first().expect("clap requires one")
    }

    /// The script's arguments.
    pub(crate) fn arguments(&self) -> Result<Vec<String>, InputError> {
        let text =
            |argument: &OsString| argument.clone().into_string().map_err(|given| InputError::ArgumentNotText { given });
        self.command[1..].iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn run(line: &str) -> Run {
        match Options::try_parse_from(line.split(' ')).unwrap().command {
            Command::Run(run) => run,
            other => panic!("not a run: {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn what_follows_the_script_is_the_scripts() {
        let run = run("offheap run --map a=b --map c=d:rw x.js --map -n 3");
        assert_eq!(run.maps, ["a=b", "c=d:rw"]);
        assert_eq!(run.script(), "x.js");
        assert_eq!(run.arguments().unwrap(), ["--map", "-n", "3"]);
        assert_eq!(run.engine, Engine::Quickjs);
    }

    #[test]
    fn the_level_needs_an_equals_sign_so_that_the_script_is_never_taken_for_one() {
        assert_eq!(run("offheap run x.js").ledger, None);
        let given = run("offheap run --ledger full x.js");
        assert_eq!((given.ledger, given.script()), (Some(Level::Sites), OsStr::new("full")));
        assert_eq!(run("offheap run --ledger=full x.js").ledger, Some(Level::Full));
        assert_eq!(run("offheap run --ledger x.js").script(), "x.js");
    }

    #[test]
    fn what_follows_the_program_is_the_programs() {
        for line in
            ["offheap audit --stacks -- node --stacks a.js -o b", "offheap audit --stacks node --stacks a.js -o b"]
        {
            let Command::Audit(audit) = Options::try_parse_from(line.split(' ')).unwrap().command else {
                panic!("{line}")
            };
            assert_eq!(audit.command, ["node", "--stacks", "a.js", "-o", "b"]);
            assert!(audit.stacks && audit.output.is_none());
        }
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(Options::try_parse_from(["offheap", "run", "--fast", "x.js"]).is_err());
        assert!(Options::try_parse_from(["offheap", "run"]).is_err());
    }
}
