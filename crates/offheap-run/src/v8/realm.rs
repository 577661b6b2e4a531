//! Runs scripts in a context of V8.

use offheap_v8::{Isolate, IsolateBuilder, ScopeExt, V8, evaluate_module, v8};

use super::callbacks::Thrown;
use super::functions;
use super::modules;
use super::rejections::Rejections;
use super::uncaught;
use super::waits::{self, Waits};
use crate::drive::{self, Evaluation, Kind, Realm};
use crate::files;
use crate::glue::OFFHEAP_MODULE;
use crate::runner::engine::Scripts;
use crate::{NativeModule, Script, Uncaught};

/// The function that describes a thrown value.
struct Inspect(v8::Global<v8::Function>);

impl Scripts for V8 {
    /// The isolate has everything in its slots.
    type Kept = ();

    fn prepare(builder: IsolateBuilder) -> (IsolateBuilder, ()) {
        let builder = builder.loader(files::resolve, files::read_module);
        let builder = builder.message_listener(Thrown::track);
        let builder = builder.rejection_tracker(Rejections::track);
        (builder, ())
    }

    fn install(isolate: &mut Isolate, (): &(), module: NativeModule) -> Result<(), Uncaught> {
        isolate.enter(|scope| scope.with_v8(|scope| install(scope, module)))
    }

    fn run(isolate: &mut Isolate, (): &(), script: &Script) -> Result<(), Uncaught> {
        isolate.enter(|scope| scope.with_v8(|scope| run(scope, script)))
    }
}

fn install(scope: &mut v8::PinScope<'_, '_>, module: NativeModule) -> Result<(), Uncaught> {
    scope.set_slot(Rejections::default());
    scope.set_slot(Waits::default());
    scope.set_slot(Thrown::default());
    let inspect = uncaught::catching(scope, None, |scope| {
        let inspect = functions::install(scope, module)?;
        waits::install(scope)?;
        // Before script can change the globals that the module reads. Later imports find it by its name.
        evaluate_module(scope, OFFHEAP_MODULE.name, OFFHEAP_MODULE.text)?;
        Some(v8::Global::new(scope, inspect))
    })?;
    scope.set_slot(Inspect(inspect));
    Ok(())
}

/// Runs a script in a context in which [`install`] was called.
fn run(scope: &mut v8::PinScope<'_, '_>, script: &Script) -> Result<(), Uncaught> {
    v8::tc_scope!(let caught, scope);
    let inspect = caught.get_slot::<Inspect>().map(|Inspect(inspect)| inspect.clone());
    let inspect = inspect.map(|inspect| v8::Local::new(caught, inspect));
    drive::run(&mut V8Realm { scope: caught, inspect }, script)
}

struct V8Realm<'a, 's, 'i> {
    scope: &'a mut v8::PinScope<'s, 'i>,
    inspect: Option<v8::Local<'s, v8::Function>>,
}

impl<'s> Realm for V8Realm<'_, 's, '_> {
    type Promise = v8::Local<'s, v8::Promise>;

    fn parses(&mut self, script: &Script, kind: Kind) -> bool {
        v8::tc_scope!(let caught, self.scope);
        match kind {
            Kind::Classic => modules::compile_classic(caught, script.name(), script.text()).is_some(),
            Kind::Module => modules::parses_as_module(caught, script.name(), script.text()),
        }
    }

    fn evaluate(&mut self, script: &Script, kind: Kind) -> Result<Option<Self::Promise>, Uncaught> {
        let (name, text) = (script.name(), script.text());
        uncaught::catching(self.scope, self.inspect, |scope| match kind {
            Kind::Module => evaluate_module(scope, name, text).map(Some),
            Kind::Classic => modules::compile_classic(scope, name, text)?.run(scope).map(|_| None),
        })
    }

    /// Microtasks, and V8's tasks, such as the one after the compilation of WebAssembly on another thread, or the end
    /// of a wait.
    fn run_queued(&mut self) -> Result<(), Uncaught> {
        let platform = v8::V8::get_current_platform();
        loop {
            self.scope.perform_microtask_checkpoint();
            let must_wait = self.scope.has_pending_background_tasks() || Waits::are_pending(self.scope);
            let did_run = v8::Platform::pump_message_loop(&platform, self.scope, must_wait);
            if self.scope.is_execution_terminating() {
                return Err(uncaught::stopped(self.scope));
            }
            if let Some((thrown, message)) = Thrown::take(self.scope) {
                return Err(uncaught::describe(self.scope, self.inspect, thrown, Some(message)));
            }
            if !did_run && !must_wait {
                return Ok(());
            }
        }
    }

    fn evaluation(&mut self, promise: &Self::Promise) -> Evaluation {
        match promise.state() {
            v8::PromiseState::Pending => Evaluation::Pending,
            v8::PromiseState::Fulfilled => Evaluation::Fulfilled,
            v8::PromiseState::Rejected => {
                let reason = promise.result(self.scope);
                Evaluation::Rejected(uncaught::describe(self.scope, self.inspect, reason, None))
            }
        }
    }

    fn take_unhandled(&mut self) -> Option<Uncaught> {
        let (reason, place) = Rejections::take_first(self.scope)?;
        Some(uncaught::describe_at(self.scope, self.inspect, reason, place))
    }
}
