//! `nativeModule`, `console` and ES modules on QuickJS.

mod columns;
mod frames;
mod functions;
mod modules;
mod rejections;
mod uncaught;

use std::rc::Rc;

use offheap_quickjs::Isolate;
use offheap_quickjs::rquickjs::context::EvalOptions;
use offheap_quickjs::rquickjs::{self, Ctx, Function, Module, Promise, Value};

use self::frames::Frames;
use self::rejections::Rejections;
use crate::glue::{Limits, State};
use crate::{Error, NativeModule, Script, Uncaught};

/// What QuickJS asks of a buffer.
pub const LIMITS: Limits =
    Limits { engine: "QuickJS", max_byte_length: i32::MAX as usize, alignment: 8, resizes_any_memory: true };

/// Runs a script to its end in an isolate of its own, with its microtasks and all that it awaits, and ends the isolate.
///
/// # Errors
/// [`Error::Isolate`] where the engine does not start, and [`Error::Uncaught`] where the script fails.
pub fn run(module: NativeModule, script: &Script) -> Result<(), Error> {
    let state = Rc::new(State::new(module, LIMITS));
    let rejections = Rejections::default();
    let tracker = rejections.clone();
    let frames = Frames::default();
    let files = modules::Files { columns: Rc::clone(&frames.columns) };
    let builder = Isolate::builder()
        // Nothing else runs on its thread.
        .can_block(true)
        .loader(files.clone(), files)
        .rejection_tracker(move |ctx, promise, reason, is_handled| tracker.track(&ctx, promise, reason, is_handled));
    let mut isolate = builder.build().map_err(Error::Isolate)?;
    isolate.enter(|scope| {
        scope.with_ctx(|ctx| {
            let ended = execute(&ctx, script, &state, &frames, &rejections);
            rejections.close(&ctx);
            frames.close();
            Ok(ended?)
        })
    })
}

fn execute(
    ctx: &Ctx<'_>,
    script: &Script,
    state: &Rc<State>,
    frames: &Frames,
    rejections: &Rejections,
) -> Result<(), Uncaught> {
    frames.columns.add(&script.name, &script.text);
    let inspect = match functions::install(ctx, state, frames).and_then(|inspect| {
        modules::evaluate_offheap(ctx)?;
        Ok(inspect)
    }) {
        Ok(inspect) => inspect,
        Err(error) => return Err(uncaught::describe_unaided(ctx, error)),
    };
    match evaluate(ctx, script) {
        Ok(outcome) => finish(ctx, &inspect, outcome, rejections),
        Err(error) => Err(uncaught::describe(ctx, &inspect, error)),
    }
}

/// What a script left to wait for.
enum Outcome<'js> {
    Nothing,
    Module(Promise<'js>),
}

fn evaluate<'js>(ctx: &Ctx<'js>, script: &Script) -> rquickjs::Result<Outcome<'js>> {
    let Script { name, text } = script;
    if is_module(ctx, script)? {
        return Module::evaluate(ctx.clone(), name.as_str(), text.as_str()).map(Outcome::Module);
    }
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(name.clone());
    ctx.eval_with_options::<Value<'_>, _>(text.as_str(), options).map(|_| Outcome::Nothing)
}

/// A module is what says so by its name, and what parses as a module but not as a classic script: one with `import`,
/// `export` or `await` at its top level. What parses as neither is one if it looks like one.
fn is_module(ctx: &Ctx<'_>, script: &Script) -> rquickjs::Result<bool> {
    if script.is_named_module() {
        return Ok(true);
    }
    if !offheap_quickjs::is_module(&script.text) {
        return Ok(script.looks_like_module());
    }
    let body = match script.text.strip_prefix("#!") {
        Some(rest) => rest.find('\n').map_or("", |end| &rest[end..]),
        None => &script.text,
    };
    let function: Function<'_> = ctx.globals().get("Function")?;
    let parsed: rquickjs::Result<Value<'_>> = function.call((body,));
    if parsed.is_err() {
        ctx.catch();
    }
    Ok(parsed.is_err())
}

/// Runs what is queued; says what went wrong.
fn finish<'js>(
    ctx: &Ctx<'js>,
    inspect: &Function<'js>,
    outcome: Outcome<'js>,
    rejections: &Rejections,
) -> Result<(), Uncaught> {
    loop {
        match offheap_quickjs::run_job(ctx) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(uncaught::describe(ctx, inspect, error)),
        }
    }
    let ended = match &outcome {
        Outcome::Nothing => Some(Ok(())),
        Outcome::Module(promise) => promise.result::<Value<'_>>().map(|result| result.map(drop)),
    };
    if let Some(Err(error)) = ended {
        return Err(uncaught::describe(ctx, inspect, error));
    }
    if let Some(reason) = rejections.close(ctx) {
        return Err(uncaught::describe_value(ctx, inspect, reason, false));
    }
    match ended {
        Some(_) => Ok(()),
        None => Err(Uncaught::never_ended()),
    }
}
