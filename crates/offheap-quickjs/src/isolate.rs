//! `Isolate` and `Scope` of QuickJS: settings, and what this engine has beyond others.

use std::rc::Rc;

use offheap::IsolateId;
use rquickjs::context::EvalOptions;
use rquickjs::markers::ParallelSend;
use rquickjs::{Array, Context, Ctx, Function, Runtime, Value};

use crate::host::{Key, QuickJs};
use crate::script::from_rquickjs;
use crate::sys::{self, Own, OwnContext, with_state};
use crate::{ENGINE, Error};

/// One QuickJS runtime with one context, which only its [scopes](Scope) run.
///
/// That is what read-only memory needs, too: before any user code the isolate replaces the writing `Atomics`, which would ignore
/// that a buffer is immutable, and no other context can be made in its runtime.
pub type Isolate = offheap_engine::Isolate<QuickJs>;

/// The right to run script in an [`Isolate`]; [`ScopeExt`] adds what QuickJS has beyond other engines.
pub type Scope<'s> = offheap_engine::Scope<'s, QuickJs>;

/// Makes an [`Isolate`] with settings of its own.
#[derive(Default)]
#[must_use = "call `build`"]
pub struct IsolateBuilder {
    memory_limit: Option<usize>,
    stack_size: Option<usize>,
    can_block: bool,
    configure: Option<Configure>,
}

impl IsolateBuilder {
    /// The most bytes that QuickJS allocates for itself; stores do not count.
    pub fn memory_limit(mut self, byte_length: usize) -> Self {
        self.memory_limit = Some(byte_length);
        self
    }

    /// The most bytes of stack that script uses: 1 MiB unless this is called, and what the thread has where that is less.
    pub fn stack_size(mut self, byte_length: usize) -> Self {
        self.stack_size = Some(byte_length);
        self
    }

    /// Whether script of this isolate may wait in `Atomics.wait` (ECMAScript's `[[CanBlock]]` of an agent); otherwise that
    /// throws a TypeError, as it does unless this is called. Its thread does nothing else while it waits, and is not
    /// interrupted: a wait without a timeout ends with an `Atomics.notify` of another isolate that has the same store.
    pub fn can_block(mut self, can_block: bool) -> Self {
        self.can_block = can_block;
        self
    }

    /// The handler that QuickJS asks from time to time whether to interrupt script.
    pub fn interrupt_handler(mut self, handler: impl FnMut() -> bool + Send + 'static) -> Self {
        self.configure = chain(self.configure, move |runtime| {
            runtime.set_interrupt_handler(Some(Box::new(handler)));
        });
        self
    }

    /// What QuickJS tells of a promise, with its reason and whether it is handled: `false` when it is rejected and nothing
    /// handles it, `true` when something does later.
    pub fn rejection_tracker(
        mut self,
        tracker: impl for<'js> Fn(Ctx<'js>, Value<'js>, Value<'js>, bool) + ParallelSend + 'static,
    ) -> Self {
        self.configure = chain(self.configure, move |runtime| {
            runtime.set_host_promise_rejection_tracker(Some(Box::new(tracker)));
        });
        self
    }

    /// How modules are found and loaded: rquickjs's `Resolver` and `Loader`.
    #[cfg(feature = "loader")]
    pub fn loader<R, L>(mut self, resolver: R, loader: L) -> Self
    where
        R: rquickjs::loader::Resolver + 'static,
        L: rquickjs::loader::Loader + 'static,
    {
        self.configure = chain(self.configure, move |runtime| runtime.set_loader(resolver, loader));
        self
    }

    /// The isolate.
    ///
    /// # Errors
    /// [`Error::EngineFailed`] and [`Error::Script`] where there is no memory, [`Error::Memory`] where too many isolates
    /// are alive, [`Error::Unsupported`] in an observer, or an owner's drop that an engine is waiting for.
    pub fn build(self) -> Result<Isolate, Error> {
        Isolate::build(self)
    }

    /// Starts QuickJS.
    pub(crate) fn start(self) -> Result<QuickJs, Error> {
        let failed = |_| Error::EngineFailed { engine: ENGINE, attempted: "make a runtime" };
        let runtime = Runtime::new().map_err(failed)?;
        let context = Context::full(&runtime).map_err(failed)?;
        let (id, own) = context.with(|ctx| set_up(&ctx))?;
        // What the isolate itself needs is there by now.
        if let Some(byte_length) = self.memory_limit {
            runtime.set_memory_limit(byte_length);
        }
        context.with(|ctx| sys::set_can_block(&ctx, self.can_block));
        if let Some(configure) = self.configure {
            configure(&runtime);
        }
        let stack_size = self.stack_size.unwrap_or(sys::DEFAULT_STACK_SIZE);
        Ok(QuickJs { id, context: OwnContext::new(context), runtime, own, stack_size })
    }
}

type Configure = Box<dyn FnOnce(&Runtime)>;

fn chain(first: Option<Configure>, then: impl FnOnce(&Runtime) + 'static) -> Option<Configure> {
    Some(Box::new(move |runtime| {
        if let Some(first) = first {
            first(runtime);
        }
        then(runtime);
    }))
}

/// Prepares the context before any user code runs in it.
fn set_up(ctx: &Ctx<'_>) -> Result<(IsolateId, Rc<Own>), Error> {
    sys::allow_growable(ctx);
    let prepare = || -> rquickjs::Result<[Function<'_>; 5]> {
        // Script knows the frames of the set-up script by this name.
        let mut options = EvalOptions::default();
        options.filename = Some("offheap:setup".to_owned());
        let set_up: Function<'_> = ctx.eval_with_options(include_str!("setup.js"), options)?;
        let functions: Array<'_> = set_up.call((sys::natives(ctx)?.to_vec(),))?;
        Ok([functions.get(0)?, functions.get(1)?, functions.get(2)?, functions.get(3)?, functions.get(4)?])
    };
    let functions = prepare().map_err(|error| from_rquickjs(ctx, error))?;
    with_state(ctx, |state| {
        state.realm(ctx)?;
        let own = Rc::new(Own::new(ctx, functions));
        state.set_own(Rc::clone(&own));
        Ok((state.isolate(), own))
    })
}

/// What an [`Isolate`] of QuickJS can do beyond those of other engines.
pub trait IsolateExt {
    /// How much memory QuickJS uses, by its own account.
    ///
    /// # Panics
    /// As [`Isolate::enter`](offheap_engine::Isolate::enter): it walks over objects that QuickJS may be freeing.
    fn memory_usage(&self) -> rquickjs::runtime::MemoryUsage;
}

impl IsolateExt for Isolate {
    fn memory_usage(&self) -> rquickjs::runtime::MemoryUsage {
        self.host(Key::new(), |host| host.runtime.memory_usage())
    }
}

/// What a [`Scope`] of QuickJS can do beyond those of other engines.
pub trait ScopeExt {
    /// Lends rquickjs's `Ctx`: to define functions, call them, load modules. No guard lives during the call, and nothing of
    /// the context can be kept beyond it.
    ///
    /// One thing is left to the program, which no type can refuse: a value that script keeps for Rust (a captured
    /// variable of a function, a class) must not use JavaScript in its `Drop`. rquickjs lets it, and the value may be freed by a
    /// `Persistent` that is dropped, or by a collection, while a slice lives.
    fn with_ctx<R>(&mut self, work: impl for<'js> FnOnce(Ctx<'js>) -> R) -> R;
}

impl ScopeExt for Scope<'_> {
    fn with_ctx<R>(&mut self, work: impl for<'js> FnOnce(Ctx<'js>) -> R) -> R {
        self.host(Key::new(), |host| host.begin(work))
    }
}
