//! What the ledger adds where script waits: it finds out which functions of script called.

use std::error::Error;
use std::process::Command;
use std::time::Instant;

use benches::child::LEVEL;
use offheap::BackingStore;
use offheap_quickjs::{Isolate, Source, Value};

/// The level of a process that lets script make stores: with the ledger at level `Sites`, and without.
pub(crate) const WITH_SITES: &str = "by-script-sites";
pub(crate) const OFF: &str = "by-script-off";

const CALLS: u32 = 20_000;
const SCRIPT: &str = "
function frame() { return load() }
function frames(count) { for (let at = 0; at < count; at++) frame() }
frames";

/// What each call takes with the ledger, and without.
pub(crate) fn measure() -> Result<String, Box<dyn Error>> {
    let nanoseconds = |level: &str| -> Result<f64, Box<dyn Error>> {
        let mut all = Vec::new();
        for _ in 0..5 {
            let output = Command::new(std::env::current_exe()?).env(LEVEL, level).output()?;
            all.push(String::from_utf8(output.stdout)?.trim().parse::<f64>()?);
        }
        all.sort_by(f64::total_cmp);
        Ok(all[all.len() / 2])
    };
    let (with, without) = (nanoseconds(WITH_SITES)?, nanoseconds(OFF)?);
    Ok(format!(
        "script calls a function that makes and exposes a store, two functions deep: {with:.0} ns at level sites, \
         {without:.0} ns off"
    ))
}

/// Lets script call a native function that makes a store and exposes it. Prints the nanoseconds of a call.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    Isolate::new()?.enter(|scope| -> Result<(), Box<dyn Error>> {
        let load = scope.function("load", |scope, _| {
            let store = BackingStore::from_owner(vec![0_u8; 64])?;
            Ok(Value::from(scope.expose(&store)?))
        })?;
        scope.set_global("load", &load)?;
        let frames: offheap_quickjs::Local<'_, offheap_quickjs::JsFunction> =
            scope.eval(Source::named("frames.js", SCRIPT))?;
        scope.call::<()>(&frames, (CALLS / 10,))?;
        let begin = Instant::now();
        scope.call::<()>(&frames, (CALLS,))?;
        println!("{}", begin.elapsed().as_nanos() as f64 / f64::from(CALLS));
        Ok(())
    })
}
