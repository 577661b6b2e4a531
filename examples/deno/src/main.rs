//! A program with deno_core whose ops take and return memory without copying it.

mod buffers;
mod ops;
#[cfg(test)]
mod tests;

use deno_core::error::CoreError;
use deno_core::{JsRuntime, PollEventLoopOptions, RuntimeOptions, v8_set_flags};

const SCRIPT: &str = include_str!("main.js");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    allow_immutable_buffers();
    run(&mut runtime(), "main.js", SCRIPT)?;
    Ok(())
}

/// Lets V8 keep script from writing to read-only memory, so that no copy is needed. V8 reads flags when it starts: call
/// this before the first `JsRuntime` is made. Leave it out in a program that starts from a snapshot, because V8 cannot make
/// or read one with this flag.
fn allow_immutable_buffers() {
    v8_set_flags(vec!["program".to_owned(), "--js-immutable-arraybuffer".to_owned()]);
}

fn runtime() -> JsRuntime {
    JsRuntime::new(RuntimeOptions { extensions: vec![ops::memory::init()], ..RuntimeOptions::default() })
}

/// Runs a script to the end of the event loop.
fn run(runtime: &mut JsRuntime, name: &'static str, script: &'static str) -> Result<(), CoreError> {
    let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime of tokio");
    tokio.block_on(async {
        runtime.execute_script(name, script)?;
        runtime.run_event_loop(PollEventLoopOptions::default()).await
    })
}
