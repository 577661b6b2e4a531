//! The command line.

use std::ffi::{OsStr, OsString};
use std::process;

use clap::{Parser, Subcommand, ValueEnum};

use crate::input::InputError;
use crate::{BAD_INPUT, console};

const AFTER_HELP: &str = "\
Exit status: 0 no error; 1 the script threw; 2 wrong usage or unreadable input; 3 a memory error: a leak, a double free, or a
free of memory in use, even if the script caught the error.";

#[derive(Debug, Parser)]
#[command(name = "offheap", version, about = "Runs scripts that use native memory, and reports leaks and double frees")]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a script with the global `nativeModule`
    #[command(override_usage = "offheap run [OPTIONS] <SCRIPT> [ARG]...", after_help = AFTER_HELP)]
    Run(Run),
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

    /// A classic script, or an ES module (.mjs, or with import or export at its top level), and its arguments
    #[arg(value_name = "SCRIPT", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// The engines that the command knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Quickjs,
    V8,
}

/// Parses the command line of this process. Ends the process where that fails, or where it asks for help.
pub(crate) fn parse() -> Run {
    let options = Options::try_parse().unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        console::error_lines(error.to_string().trim_end());
        process::exit(BAD_INPUT);
    });
    let Command::Run(run) = options.command;
    run
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
        let Command::Run(run) = Options::try_parse_from(line.split(' ')).unwrap().command;
        run
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
    fn an_unknown_option_is_refused() {
        assert!(Options::try_parse_from(["offheap", "run", "--fast", "x.js"]).is_err());
        assert!(Options::try_parse_from(["offheap", "run"]).is_err());
    }
}
