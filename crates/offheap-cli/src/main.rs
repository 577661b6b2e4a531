//! The `offheap` command: runs a script with native memory, mapped files and any ArrayBuffer's backing store within its
//! reach, and says at the end what was leaked or freed twice, and where.
//!
//! What does not depend on an engine (options, maps, what `nativeModule` does, what is printed) is in the modules here;
//! an engine adds the glue between that and its values, in a module of its own.
#![forbid(unsafe_code)]

mod arguments;
mod console;
mod failure;
mod freed;
mod input;
mod maps;
mod native;
mod options;
mod primitives;
mod quickjs;
mod source;
mod uncaught;
mod unhandled;
#[cfg(feature = "v8")]
mod v8;
mod visible;

use std::process;
use std::rc::Rc;

use offheap_ledger::{Balance, Ledger};

use crate::input::InputError;
use crate::native::{Limits, NativeModule};
use crate::options::{Engine, Run};
use crate::source::Script;

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
    let status = run(&options::parse()).unwrap_or_else(|error| {
        console::error_lines(&format!("offheap: {}", visible::line(&error.to_string())));
        BAD_INPUT
    });
    // At once: what is still mapped or allocated goes with the process.
    process::exit(status);
}

/// Runs the script, and returns the exit status.
fn run(options: &Run) -> Result<i32, InputError> {
    let (limits, run_script) = engine(options.engine)?;
    let ledger = Ledger::install().map_err(InputError::Engine)?;
    let script = Script::read(options.script())?;
    let maps = maps::open(&options.maps)?;
    let native = Rc::new(NativeModule::new(ledger, limits, maps, options.arguments()?));
    // The isolate ends in there, so that what is counted below is what outlived it.
    let uncaught = run_script(&script, &native)?;
    if let Some(uncaught) = &uncaught {
        console::error_lines(&format!("offheap: {uncaught}"));
    }
    let report = ledger.report();
    console::error_lines(&report.to_string());
    Ok(status(uncaught.is_some(), &report.balance))
}

type RunScript = fn(&Script, &Rc<NativeModule>) -> Result<Option<String>, InputError>;

/// What an engine asks of buffers, and its glue.
fn engine(engine: Engine) -> Result<(Limits, RunScript), InputError> {
    match engine {
        Engine::Quickjs => Ok((quickjs::LIMITS, quickjs::run)),
        #[cfg(feature = "v8")]
        Engine::V8 => Ok((v8::LIMITS, v8::run)),
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
