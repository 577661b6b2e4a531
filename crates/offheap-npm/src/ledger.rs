//! The ledger of the process.

use std::sync::Mutex;

use napi::{Env, Result};
use napi_derive::napi;
use offheap_ledger::{Builder, Error, Ledger, Level, install_from_env, installed};

use crate::errors::type_error;

/// One environment at a time installs.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Installs the ledger that `OFFHEAP_LEDGER` asks for, if it was not installed before.
#[napi]
pub fn ledger_from_env(env: &Env) -> Result<()> {
    let _installing = INSTALLING.lock();
    if installed().is_none() {
        install_from_env().map_err(|error| exception(env, &error))?;
    }
    Ok(())
}

/// Installs a ledger.
#[napi]
pub fn ledger_install(
    env: &Env,
    level: String,
    file: Option<String>,
    sample_bytes: Option<f64>,
    history: Option<f64>,
) -> Result<()> {
    let _installing = INSTALLING.lock();
    if installed().is_some() {
        let message =
            "a ledger is installed already, and a process has one; install it once, before any buffer is made";
        return Err(type_error(env, "LEDGER_INSTALLED", message));
    }
    let builder = |file: Option<String>| -> std::result::Result<Builder, Error> {
        let mut builder = Builder::new(level.parse::<Level>()?);
        if let Some(bytes) = sample_bytes {
            builder = builder.sample_bytes(bytes as u64);
        }
        if let Some(events) = history {
            builder = builder.history(events as usize);
        }
        match file {
            Some(file) => builder.report_to_file(file),
            None => Ok(builder),
        }
    };
    builder(file).and_then(Builder::install).map_err(|error| exception(env, &error))?;
    Ok(())
}

/// The level of the ledger, if one is installed.
#[napi]
pub fn ledger_level() -> Option<String> {
    installed().map(|ledger| ledger.level().name().to_owned())
}

/// A line for each leak and each refusal, then the balance.
#[napi]
pub fn ledger_report(env: &Env) -> Result<String> {
    Ok(ledger(env)?.report().to_string())
}

/// What the ledger knows, as JSON.
#[napi]
pub fn ledger_snapshot(env: &Env) -> Result<String> {
    let snapshot = serde_json::to_string(&ledger(env)?.snapshot());
    snapshot.map_err(|error| type_error(env, "LEDGER_SNAPSHOT", &error.to_string()))
}

/// Ends the stream.
#[napi]
pub fn ledger_finish(env: &Env) -> Result<()> {
    ledger(env)?.finish().map_err(|error| exception(env, &error))
}

fn ledger(env: &Env) -> Result<&'static Ledger> {
    // What V8 has released is no leak.
    offheap_node::release_collected();
    let message = "no ledger is installed; call ledger.install(level) first, or set OFFHEAP_LEDGER";
    installed().ok_or_else(|| type_error(env, "NO_LEDGER", message))
}

fn exception(env: &Env, error: &Error) -> napi::Error {
    let code = match error {
        Error::ObserverSet => "LEDGER_INSTALLED",
        Error::Setting { .. } => "LEDGER_SETTING",
        Error::File { .. } => "LEDGER_FILE",
        _ => "LEDGER_STREAM",
    };
    type_error(env, code, &error.to_string())
}
