//! `nativeModule`, `console` and ES modules on V8.

mod callbacks;
mod frames;
mod functions;
mod hooks;
mod modules;
mod rejections;
mod uncaught;
mod waits;

use std::rc::Rc;

use offheap_v8::v8;

use self::callbacks::Thrown;
pub use self::hooks::{
    ResolveModule, TrackRejections, TrackUncaught, instantiate_module, track_rejections, track_uncaught,
};
use self::modules::Modules;
use self::rejections::Rejections;
use self::waits::Waits;
use crate::glue::{Limits, State};
use crate::{Error, NativeModule, Script, Uncaught};

/// What V8 asks of a buffer.
pub const LIMITS: Limits =
    Limits { engine: "V8", max_byte_length: (1 << 53) - 1, alignment: 8, resizes_any_memory: false };

/// Runs a script to its end in an isolate of its own, with its microtasks and all that it awaits, and ends the isolate.
///
/// # Errors
/// [`Error::Isolate`] where the engine does not start, and [`Error::Uncaught`] where the script fails.
pub fn run(module: NativeModule, script: &Script) -> Result<(), Error> {
    let state = Rc::new(State::new(module, LIMITS));
    // The balance counts what native code has to do with, and not each buffer of script's.
    let builder = offheap_v8::Isolate::builder().v8_allocator();
    let mut isolate = builder.build().map_err(Error::Isolate)?;
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            scope.set_slot(Rc::clone(&state));
            scope.set_slot(Modules::default());
            scope.set_slot(Rejections::default());
            scope.set_slot(Waits::default());
            track_rejections::<Rejections>(scope);
            scope.set_slot(Thrown::default());
            track_uncaught::<Thrown>(scope);
            modules::allow_dynamic_imports(scope);
            let ended = execute(scope, script, &state);
            // What is kept of the isolate ends before it.
            Rejections::close(scope);
            Thrown::take(scope);
            scope.remove_slot::<Modules>();
            scope.remove_slot::<Waits>();
            Ok(ended?)
        })
    })
}

fn execute(scope: &mut v8::PinScope<'_, '_>, script: &Script, state: &State) -> Result<(), Uncaught> {
    v8::tc_scope!(let caught, scope);
    let mut inspect = functions::install(caught, state);
    let is_installed =
        inspect.is_some() && waits::install(caught).and_then(|()| modules::evaluate_offheap(caught)).is_some();
    inspect = inspect.filter(|_| is_installed);
    let outcome = if is_installed { evaluate(caught, script) } else { None };
    if let (Some(inspect), Some(outcome)) = (inspect, outcome) {
        return finish(caught, inspect, outcome);
    }
    if caught.has_terminated() {
        return Err(Uncaught::heap_is_full());
    }
    let (thrown, message) = (caught.exception(), caught.message());
    caught.reset();
    match thrown {
        Some(thrown) => Err(uncaught::describe(caught, inspect, thrown, message)),
        None => Err(Uncaught::indescribable()),
    }
}

/// What a script left to wait for.
enum Outcome<'s> {
    Nothing,
    Module(v8::Local<'s, v8::Promise>),
}

/// `None` where it throws. A module is what says so by its name, and what parses as a module but not as a classic script:
/// one with `import`, `export` or `await` at its top level. What parses as neither is one if it looks like one.
fn evaluate<'s>(scope: &mut v8::PinScope<'s, '_>, script: &Script) -> Option<Outcome<'s>> {
    if !script.is_named_module() {
        let classic = {
            v8::tc_scope!(let caught, scope);
            let classic = modules::compile_classic(caught, &script.name, &script.text);
            if classic.is_none() && !is_module(caught, script) {
                caught.rethrow();
                return None;
            }
            classic
        };
        if let Some(classic) = classic {
            return classic.run(scope).map(|_| Outcome::Nothing);
        }
    }
    modules::evaluate(scope, &script.name, Some(&script.text)).map(Outcome::Module)
}

fn is_module(scope: &mut v8::PinScope<'_, '_>, script: &Script) -> bool {
    v8::tc_scope!(let caught, scope);
    modules::compile(caught, &script.name, &script.text).is_some() || script.looks_like_module()
}

/// Runs what is queued; says what went wrong.
fn finish<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    inspect: v8::Local<'s, v8::Function>,
    outcome: Outcome<'s>,
) -> Result<(), Uncaught> {
    run_what_is_queued(scope);
    if scope.is_execution_terminating() {
        return Err(Uncaught::heap_is_full());
    }
    if let Some((thrown, message)) = Thrown::take(scope) {
        return Err(uncaught::describe(scope, Some(inspect), thrown, Some(message)));
    }
    if let Outcome::Module(promise) = outcome
        && promise.state() == v8::PromiseState::Rejected
    {
        let reason = promise.result(scope);
        return Err(uncaught::describe(scope, Some(inspect), reason, None));
    }
    if let Some((reason, place)) = Rejections::close(scope) {
        return Err(uncaught::describe_at(scope, Some(inspect), reason, place));
    }
    match outcome {
        Outcome::Module(promise) if promise.state() == v8::PromiseState::Pending => Err(Uncaught::never_ended()),
        _ => Ok(()),
    }
}

/// Microtasks, and tasks of V8 such as what follows the compilation of WebAssembly on another thread, or the end of a wait:
/// all of them, or until one throws.
fn run_what_is_queued(scope: &mut v8::PinScope<'_, '_>) {
    let platform = v8::V8::get_current_platform();
    loop {
        scope.perform_microtask_checkpoint();
        let must_wait = scope.has_pending_background_tasks() || Waits::are_pending(scope);
        let did_run = v8::Platform::pump_message_loop(&platform, scope, must_wait);
        if scope.is_execution_terminating() || Thrown::is_some(scope) || !did_run && !must_wait {
            return;
        }
    }
}
