//! The `offheap` command runs a script that can use native memory, mapped files, and the backing store of any ArrayBuffer. At
//! the end it reports what was leaked or freed twice, and where. It also shows what the ledgers of other programs wrote.
//!
//! This crate has the command line, the exit status and the command's own output. The library `offheap-run` runs scripts,
//! and has everything that they can call. The library `offheap-report` reads streams, and makes reports of them.
#![forbid(unsafe_code)]

mod audit;
mod console;
mod input;
mod ledger;
mod maps;
mod options;
mod report;

use std::process;

use offheap_ledger::Balance;
use offheap_report::visible;
use offheap_run::{Error, NativeModule, Script};

use crate::input::InputError;
use crate::ledger::Recording;
use crate::options::{Command, Engine, Run};

/// The addresses of freed memory that `--quarantine` keeps.
const QUARANTINE_BYTES: usize = 1 << 30;

/// Nothing went wrong.
const FINE: i32 = 0;
/// The script threw, or did not parse.
const THREW: i32 = 1;
/// Wrong usage, or input that cannot be read.
const BAD_INPUT: i32 = 2;
/// A leak, a double free, or a free of memory in use.
const MEMORY_ERROR: i32 = 3;

fn main() {
    offheap::exit_when_a_mapped_file_is_cut_short(BAD_INPUT);
    let result = match options::parse() {
        Command::Run(options) => run(&options),
        Command::Audit(options) => audit::audit(&options),
        Command::Report(options) => report::report(&options),
    };
    let status = result.unwrap_or_else(|error| {
        console::error_lines(&format!("offheap: {}", visible::line(&error.to_string())));
        BAD_INPUT
    });
    // Without cleaning up: the system takes back what is still mapped or allocated.
    process::exit(status);
}

/// Runs the script, and returns the exit status.
fn run(options: &Run) -> Result<i32, InputError> {
    let run_script = engine(options.engine)?;
    let script = Script::read(options.script())?;
    let recording = Recording::begin(options)?;
    if options.quarantine {
        offheap::quarantine(QUARANTINE_BYTES).map_err(InputError::Quarantine)?;
    }
    let mut module = NativeModule::new(recording.ledger).arguments(options.arguments()?);
    for (name, file) in maps::open(&options.maps)? {
        module = module.mapped(name, file);
    }
    // The isolate ends in this call, so that the report counts only what outlived it.
    let uncaught = match run_script(module, &script) {
        Ok(()) => None,
        Err(Error::Uncaught(uncaught)) => Some(uncaught),
        Err(error) => return Err(error.into()),
    };
    if let Some(uncaught) = &uncaught {
        console::error_lines(&format!("offheap: {uncaught}"));
    }
    let report = recording.ledger.report();
    if !recording.prints {
        console::error_lines(&report.to_string());
    }
    match recording.finish()? {
        true => Ok(status(uncaught.is_some(), &report.balance)),
        false => Ok(BAD_INPUT),
    }
}

type RunScript = fn(NativeModule, &Script) -> Result<(), Error>;

/// The function that runs a script on this engine.
fn engine(engine: Engine) -> Result<RunScript, InputError> {
    match engine {
        Engine::Quickjs => Ok(offheap_run::quickjs::run),
        #[cfg(feature = "v8")]
        Engine::V8 => Ok(offheap_run::v8::run),
        #[cfg(not(feature = "v8"))]
        Engine::V8 => Err(InputError::NoV8),
    }
}

fn status(threw: bool, balance: &Balance) -> i32 {
    match (threw, balance.is_clean()) {
        (true, _) => THREW,
        (false, false) => MEMORY_ERROR,
        (false, true) => FINE,
    }
}
