//! Runs scripts in a context of QuickJS.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

use offheap_quickjs::rquickjs::context::EvalOptions;
use offheap_quickjs::rquickjs::{self, Ctx, Function, Module, Persistent, Promise, Value};
use offheap_quickjs::{Isolate, IsolateBuilder, QuickJs, ScopeExt};

use super::columns::Columns;
use super::modules::Files;
use super::rejections::Rejections;
use super::{functions, modules, uncaught};
use crate::drive::{self, Evaluation, Kind, Realm};
use crate::runner::engine::Scripts;
use crate::{NativeModule, Script, Uncaught};

/// What a runner keeps from one script to the next.
#[derive(Clone, Default)]
pub struct Kept {
    values: Rc<RefCell<Values>>,
    columns: Rc<Columns>,
}

#[derive(Default)]
struct Values {
    rejections: Rejections,
    /// The function that describes a value, and the constructor `Function`, as they are before any other script.
    functions: Option<(KeptFunction, KeptFunction)>,
}

type KeptFunction = Persistent<Function<'static>>;

impl Scripts for QuickJs {
    type Kept = Kept;

    fn prepare(builder: IsolateBuilder) -> (IsolateBuilder, Kept) {
        let kept = Kept::default();
        let (tracker, files) = (Rc::clone(&kept.values), Files { columns: Rc::clone(&kept.columns) });
        let builder = builder.loader(files.clone(), files);
        let builder = builder.rejection_tracker(move |ctx, promise, reason, is_handled| {
            tracker.borrow_mut().rejections.track(&ctx, promise, reason, is_handled);
        });
        (builder, kept)
    }

    fn install(isolate: &mut Isolate, kept: &Kept, module: NativeModule) -> Result<(), Uncaught> {
        isolate.enter(|scope| scope.with_ctx(|ctx| install(&ctx, kept, module)))
    }

    fn run(isolate: &mut Isolate, kept: &Kept, script: &Script) -> Result<(), Uncaught> {
        kept.columns.add(script.name(), script.text());
        isolate.enter(|scope| scope.with_ctx(|ctx| drive::run(&mut QuickJsRealm::new(&ctx, kept)?, script)))
    }
}

fn install(ctx: &Ctx<'_>, kept: &Kept, module: NativeModule) -> Result<(), Uncaught> {
    let install = || -> rquickjs::Result<(Function<'_>, Function<'_>)> {
        let inspect = functions::install(ctx, module, &kept.columns)?;
        modules::evaluate_offheap(ctx)?;
        Ok((inspect, ctx.globals().get("Function")?))
    };
    let (inspect, function) = install().map_err(|error| uncaught::describe_unaided(ctx, error))?;
    kept.values.borrow_mut().functions = Some((Persistent::save(ctx, inspect), Persistent::save(ctx, function)));
    Ok(())
}

/// A context in which [`install`] was called.
pub(super) struct QuickJsRealm<'a, 'js> {
    ctx: &'a Ctx<'js>,
    kept: &'a Kept,
    inspect: Function<'js>,
    /// The constructor.
    function: Function<'js>,
}

impl<'a, 'js> QuickJsRealm<'a, 'js> {
    pub(super) fn new(ctx: &'a Ctx<'js>, kept: &'a Kept) -> Result<Self, Uncaught> {
        let functions = kept.values.borrow().functions.clone();
        let restored =
            functions.and_then(|(inspect, function)| Some((inspect.restore(ctx).ok()?, function.restore(ctx).ok()?)));
        let (inspect, function) = restored.ok_or_else(Uncaught::indescribable)?;
        Ok(QuickJsRealm { ctx, kept, inspect, function })
    }

    fn uncaught(&self, error: rquickjs::Error) -> Uncaught {
        uncaught::describe(self.ctx, &self.inspect, error)
    }
}

impl<'js> Realm for QuickJsRealm<'_, 'js> {
    type Promise = Promise<'js>;

    fn parses(&mut self, script: &Script, kind: Kind) -> bool {
        if kind == Kind::Module {
            return offheap_quickjs::is_module(script.text());
        }
        // QuickJS has no call that only parses a classic script. A function may not begin with `#!`.
        let body = match script.text().strip_prefix("#!") {
            Some(rest) => rest.find('\n').map_or("", |end| &rest[end..]),
            None => script.text(),
        };
        let parsed: rquickjs::Result<Value<'_>> = self.function.call((body,));
        if parsed.is_err() {
            self.ctx.catch();
        }
        parsed.is_ok()
    }

    fn evaluate(&mut self, script: &Script, kind: Kind) -> Result<Option<Promise<'js>>, Uncaught> {
        let (name, text) = (script.name(), script.text());
        let evaluated = match kind {
            Kind::Module => {
                modules::declare(self.ctx, name, text).and_then(Module::eval).map(|(_, promise)| Some(promise))
            }
            Kind::Classic => {
                let mut options = EvalOptions::default();
                options.strict = false;
                options.filename = Some(name.to_owned());
                self.ctx.eval_with_options::<Value<'_>, _>(text, options).map(|_| None)
            }
        };
        evaluated.map_err(|error| self.uncaught(error))
    }

    fn run_queued(&mut self) -> Result<(), Uncaught> {
        while offheap_quickjs::run_job(self.ctx).map_err(|error| self.uncaught(error))? {}
        Ok(())
    }

    fn evaluation(&mut self, promise: &Promise<'js>) -> Evaluation {
        match promise.result::<Value<'_>>() {
            None => Evaluation::Pending,
            Some(Ok(_)) => Evaluation::Fulfilled,
            Some(Err(error)) => Evaluation::Rejected(self.uncaught(error)),
        }
    }

    fn take_unhandled(&mut self) -> Option<Uncaught> {
        // Taken out first: what lets go of a value may tell of others.
        let rejections = mem::take(&mut self.kept.values.borrow_mut().rejections);
        let reason = rejections.into_first(self.ctx)?;
        Some(uncaught::describe_value(self.ctx, &self.inspect, reason, false))
    }
}
