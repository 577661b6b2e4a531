//! `Isolate` and `Scope` of QuickJS: their settings, and the functions that only this engine has.

use std::rc::Rc;

use offheap::IsolateId;
use rquickjs::context::EvalOptions;
use rquickjs::markers::ParallelSend;
use rquickjs::{Array, Context, Ctx, Function, Runtime, Value};

use crate::host::{Key, QuickJs};
use crate::script::from_rquickjs;
use crate::sys::{self, Own, OwnContext, with_state};
use crate::{Allocator, ENGINE, Error};

/// One QuickJS runtime with one context. Only its [scopes](Scope) run script in it.
///
/// Read-only memory needs that too. Before any user code runs, the isolate replaces the `Atomics` functions that
/// write, because they ignore that a buffer is immutable; and no other context can be made in its runtime.
pub type Isolate = offheap_engine::Isolate<QuickJs>;

/// The right to run script in an [`Isolate`]. [`ScopeExt`] adds functions that only QuickJS has.
pub type Scope<'s> = offheap_engine::Scope<'s, QuickJs>;

/// The arguments with which script called a [function](offheap_engine::Scope::function).
pub type Arguments<'s> = offheap_engine::Arguments<'s, QuickJs>;

/// A builder for an [`Isolate`] with other settings than the defaults.
#[derive(Default)]
#[must_use = "call `build`"]
pub struct IsolateBuilder {
    name: Option<String>,
    memory_limit: Option<usize>,
    stack_size: Option<usize>,
    can_block: bool,
    configure: Option<Configure>,
}

impl IsolateBuilder {
    /// A name for reports: [`IsolateId::name`] returns it while the isolate lives, and messages show it. At most 256 bytes
    /// are kept. Several isolates may have the same name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The maximum number of bytes that QuickJS allocates for itself. Stores do not count.
    pub fn memory_limit(mut self, byte_length: usize) -> Self {
        self.memory_limit = Some(byte_length);
        self
    }

    /// The maximum stack size of script in bytes. The default is 1 MiB, or the stack of the thread if that is
    /// smaller.
    pub fn stack_size(mut self, byte_length: usize) -> Self {
        self.stack_size = Some(byte_length);
        self
    }

    /// Whether script of this isolate may wait in `Atomics.wait` (ECMAScript's `[[CanBlock]]` of an agent). By
    /// default it may not, and `Atomics.wait` throws a TypeError. The thread does nothing else while it waits, and
    /// nothing interrupts it: a wait without a timeout ends only when another isolate that has the same store calls
    /// `Atomics.notify`.
    pub fn can_block(mut self, can_block: bool) -> Self {
        self.can_block = can_block;
        self
    }

    /// The handler that QuickJS calls from time to time to ask whether to interrupt script.
    pub fn interrupt_handler(mut self, handler: impl FnMut() -> bool + Send + 'static) -> Self {
        self.configure = chain(self.configure, move |runtime| {
            runtime.set_interrupt_handler(Some(Box::new(handler)));
        });
        self
    }

    /// The function that QuickJS calls for a rejected promise, with the promise, its reason, and whether it is
    /// handled: `false` when the promise is rejected without a handler, `true` when a handler is added later.
    pub fn rejection_tracker(
        mut self,
        tracker: impl for<'js> Fn(Ctx<'js>, Value<'js>, Value<'js>, bool) + ParallelSend + 'static,
    ) -> Self {
        self.configure = chain(self.configure, move |runtime| {
            runtime.set_host_promise_rejection_tracker(Some(Box::new(tracker)));
        });
        self
    }

    /// The functions that find and load modules: rquickjs's `Resolver` and `Loader`.
    #[cfg(feature = "loader")]
    pub fn loader<R, L>(mut self, resolver: R, loader: L) -> Self
    where
        R: rquickjs::loader::Resolver + 'static,
        L: rquickjs::loader::Loader + 'static,
    {
        self.configure = chain(self.configure, move |runtime| runtime.set_loader(resolver, loader));
        self
    }

    /// Starts the isolate.
    ///
    /// # Errors
    /// [`Error::EngineFailed`] and [`Error::Script`] if there is no memory, [`Error::Memory`] if too many isolates
    /// are alive, [`Error::Unsupported`] in an observer, or in an owner's `Drop` that an engine is waiting for.
    pub fn build(self) -> Result<Isolate, Error> {
        Isolate::build(self)
    }

    /// Starts QuickJS.
    pub(crate) fn start(self) -> Result<QuickJs, Error> {
        let failed = |_| Error::EngineFailed { engine: ENGINE, attempted: "make a runtime" };
        let runtime = Runtime::new_with_alloc(Allocator::new()).map_err(failed)?;
        let context = Context::full(&runtime).map_err(failed)?;
        let (id, own) = context.with(|ctx| set_up(&ctx, self.name.as_deref()))?;
        // The isolate has allocated what it needs itself by now.
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
fn set_up(ctx: &Ctx<'_>, name: Option<&str>) -> Result<(IsolateId, Rc<Own>), Error> {
    sys::allow_growable(ctx);
    let prepare = || -> rquickjs::Result<[Function<'_>; 5]> {
        // Script sees the frames of the set-up script under this name.
        let mut options = EvalOptions::default();
        options.filename = Some("offheap:setup".to_owned());
        let set_up: Function<'_> = ctx.eval_with_options(include_str!("setup.js"), options)?;
        let functions: Array<'_> = set_up.call((sys::natives(ctx)?.to_vec(),))?;
        Ok([functions.get(0)?, functions.get(1)?, functions.get(2)?, functions.get(3)?, functions.get(4)?])
    };
    let functions = prepare().map_err(|error| from_rquickjs(ctx, error))?;
    with_state(ctx, |state| {
        if let Some(name) = name {
            state.set_isolate_name(name)?;
        }
        state.realm(ctx)?;
        let own = Rc::new(Own::new(ctx, functions));
        state.set_own(Rc::clone(&own));
        Ok((state.isolate(), own))
    })
}

/// Functions of an [`Isolate`] that only QuickJS has.
pub trait IsolateExt {
    /// The memory that QuickJS uses, as it reports it.
    ///
    /// # Panics
    /// In an observer, and in an owner's `Drop` that an engine is waiting for, like
    /// [`Isolate::enter`](offheap_engine::Isolate::enter): the call walks over objects that QuickJS may be freeing.
    fn memory_usage(&self) -> rquickjs::runtime::MemoryUsage;
}

impl IsolateExt for Isolate {
    fn memory_usage(&self) -> rquickjs::runtime::MemoryUsage {
        self.host(Key::new(), |host| host.runtime.memory_usage())
    }
}

/// Functions of a [`Scope`] that only QuickJS has.
pub trait ScopeExt {
    /// Lends rquickjs's `Ctx`, for example to define functions, call them, or load modules. No guard lives during
    /// the call, and nothing of the context can be kept after it.
    ///
    /// The types cannot prevent one mistake, which the program must avoid: a value that script keeps for Rust (a
    /// variable captured by a function, or a class) must not use JavaScript in its `Drop`. rquickjs allows it, but
    /// a dropped `Persistent` or a collection may free the value while a slice lives.
    fn with_ctx<R>(&mut self, work: impl for<'js> FnOnce(Ctx<'js>) -> R) -> R;
}

impl ScopeExt for Scope<'_> {
    fn with_ctx<R>(&mut self, work: impl for<'js> FnOnce(Ctx<'js>) -> R) -> R {
        self.host(Key::new(), |host| host.begin(work))
    }
}
