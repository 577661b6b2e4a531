//! `Isolate`: a QuickJS of our own, whose scopes know when script runs.

use std::rc::Rc;

use rquickjs::context::EvalOptions;
use rquickjs::markers::ParallelSend;
use rquickjs::{Array, Context, Ctx, Function, Runtime, Value};

use crate::script::from_rquickjs;
use crate::sys::{self, KeyFunctions, Roots, with_state};
use crate::{ENGINE, Error, Scope};
use offheap::IsolateId;
use offheap_engine::{in_finalizer, refused_in_finalizer};

/// One QuickJS runtime with one context, which only its [scopes](Scope) run.
///
/// That is what guards need: while a slice of a store lives, its scope is borrowed, and nothing else runs script. It is
/// also what read-only memory needs: before any user code the isolate replaces the writing `Atomics`, which would ignore
/// that a buffer is immutable, and nobody can make another context in its runtime.
///
/// It stays on its thread. Dropping it frees its handles' objects, its buffers, and what they alone kept; stores that
/// native code holds live on.
pub struct Isolate {
    // Dropped in this order, after `Drop::drop` ended the roots.
    context: Context,
    runtime: Runtime,
    roots: Rc<Roots>,
    stack_size: usize,
}

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
    /// throws a TypeError, as it does unless this is called. Its thread does nothing else meanwhile, and is not
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
        if in_finalizer() {
            return Err(refused_in_finalizer(ENGINE));
        }
        let failed = |_| Error::EngineFailed { engine: ENGINE, attempted: "make a runtime" };
        let runtime = Runtime::new().map_err(failed)?;
        let context = Context::full(&runtime).map_err(failed)?;
        let roots = context.with(|ctx| set_up(&ctx))?;
        // What the isolate itself needs is there by now.
        if let Some(byte_length) = self.memory_limit {
            runtime.set_memory_limit(byte_length);
        }
        context.with(|ctx| sys::set_can_block(&ctx, self.can_block));
        if let Some(configure) = self.configure {
            configure(&runtime);
        }
        let stack_size = self.stack_size.unwrap_or(sys::DEFAULT_STACK_SIZE);
        Ok(Isolate { context, runtime, roots, stack_size })
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
fn set_up(ctx: &Ctx<'_>) -> Result<Rc<Roots>, Error> {
    sys::allow_growable(ctx);
    let prepare = || -> rquickjs::Result<KeyFunctions<Function<'_>>> {
        // Its frames are nobody's business, and known by this name.
        let mut options = EvalOptions::default();
        options.filename = Some("offheap:setup".to_owned());
        let set_up: Function<'_> = ctx.eval_with_options(include_str!("setup.js"), options)?;
        let functions: Array<'_> = set_up.call((sys::natives(ctx)?.to_vec(),))?;
        Ok(KeyFunctions { set: functions.get(0)?, check: functions.get(1)? })
    };
    let functions = prepare().map_err(|error| from_rquickjs(ctx, error))?;
    with_state(ctx, |state| {
        state.realm(ctx)?;
        let roots = Rc::new(sys::roots(state.isolate(), ctx, functions));
        state.set_roots(Rc::clone(&roots));
        Ok(roots)
    })
}

impl Isolate {
    /// An isolate with QuickJS's own settings.
    ///
    /// # Errors
    /// As for [`IsolateBuilder::build`].
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// To set limits, a module loader or an interrupt handler first.
    pub fn builder() -> IsolateBuilder {
        IsolateBuilder::default()
    }

    /// Enters the isolate: what `work` does with the scope is what may run script.
    ///
    /// # Panics
    /// In an observer, and in an owner's drop that an engine is waiting for: neither must call an engine. Where an engine
    /// is waiting the process ends, since nothing may unwind into it.
    pub fn enter<R>(&mut self, work: impl for<'s> FnOnce(&mut Scope<'s>) -> R) -> R {
        assert!(!in_finalizer(), "an owner's drop or an observer entered an isolate that lets go of a buffer");
        let roots = &self.roots;
        self.context.with(|ctx| {
            sys::limit_stack(&ctx, self.stack_size);
            let _entered = roots.enter();
            work(&mut Scope::new(ctx, Rc::clone(roots)))
        })
    }

    /// This isolate's id.
    pub fn id(&self) -> IsolateId {
        offheap_engine::RootTable::isolate(&*self.roots)
    }

    /// How much memory QuickJS uses, by its own account.
    ///
    /// # Panics
    /// As [`enter`](Self::enter): it walks over objects that QuickJS may be freeing.
    pub fn memory_usage(&self) -> rquickjs::runtime::MemoryUsage {
        assert!(!in_finalizer(), "an owner's drop or an observer measured an isolate that lets go of a buffer");
        self.runtime.memory_usage()
    }
}

impl Drop for Isolate {
    fn drop(&mut self) {
        assert!(!in_finalizer(), "an owner's drop or an observer ended an isolate that lets go of a buffer");
        self.context.with(|_| self.roots.end());
    }
}
