//! The glue between the command and QuickJS.

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
use crate::input::InputError;
use crate::native::{Limits, NativeModule};
use crate::source::Script;
use crate::uncaught::NEVER_ENDED;

/// What QuickJS asks of a buffer.
pub(crate) const LIMITS: Limits =
    Limits { engine: "QuickJS", max_byte_length: i32::MAX as usize, alignment: 8, resizes_any_memory: true };

/// Runs a script to its end, microtasks and what it awaits included, and ends the engine.
///
/// The result is what it threw and did not catch, in words.
///
/// # Errors
/// The engine does not start.
pub(crate) fn run(script: &Script, native: &Rc<NativeModule>) -> Result<Option<String>, InputError> {
    let rejections = Rejections::default();
    let tracker = rejections.clone();
    let frames = Frames::default();
    let files = modules::Files { columns: Rc::clone(&frames.columns) };
    let builder = Isolate::builder()
        // Its thread is the command's own.
        .can_block(true)
        .loader(files.clone(), files)
        .rejection_tracker(move |ctx, promise, reason, is_handled| tracker.track(&ctx, promise, reason, is_handled));
    let mut isolate = builder.build().map_err(InputError::Isolate)?;
    Ok(isolate.enter(|scope| {
        scope.with_ctx(|ctx| {
            let uncaught = execute(&ctx, script, native, &frames, &rejections);
            rejections.close(&ctx);
            frames.close();
            uncaught
        })
    }))
}

fn execute(
    ctx: &Ctx<'_>,
    script: &Script,
    native: &Rc<NativeModule>,
    frames: &Frames,
    rejections: &Rejections,
) -> Option<String> {
    frames.columns.add(&script.name, &script.text);
    let inspect = match functions::install(ctx, native, frames).and_then(|inspect| {
        modules::evaluate_offheap(ctx)?;
        Ok(inspect)
    }) {
        Ok(inspect) => inspect,
        Err(error) => return Some(uncaught::describe_unaided(ctx, error)),
    };
    match evaluate(ctx, script) {
        Ok(outcome) => finish(ctx, &inspect, outcome, rejections),
        Err(error) => Some(uncaught::describe(ctx, &inspect, error)),
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
) -> Option<String> {
    loop {
        match offheap_quickjs::run_job(ctx) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Some(uncaught::describe(ctx, inspect, error)),
        }
    }
    let ended = match &outcome {
        Outcome::Nothing => Some(Ok(())),
        Outcome::Module(promise) => promise.result::<Value<'_>>().map(|result| result.map(drop)),
    };
    if let Some(Err(error)) = ended {
        return Some(uncaught::describe(ctx, inspect, error));
    }
    if let Some(reason) = rejections.close(ctx) {
        return Some(uncaught::describe_value(ctx, inspect, reason, false));
    }
    match ended {
        Some(_) => None,
        None => Some(NEVER_ENDED.to_owned()),
    }
}
