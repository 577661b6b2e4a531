//! `Host` for QuickJS, which the `Isolate` of `offheap-engine` drives.
#![allow(unsafe_code, reason = "implements `Host`, whose contract it keeps")]

use std::ptr::NonNull;
use std::rc::Rc;

use offheap::{BackingStore, IsolateId, adapter};
use offheap_engine::{
    ByIsolate, Element, FromScript, Host, NativeFunction, Retainers, Rooted, Roots, Sought, Source, ToScript, Window,
};
use rquickjs::context::EvalOptions;
use rquickjs::function::{Args, IntoArgs};
use rquickjs::{Ctx, Runtime, Value};

use crate::detach::{detach_with_key, transfer_if};
use crate::extension::{BackingStoreExt, buffer_over};
use crate::script::{caught_value, from_rquickjs};
use crate::sys::{self, Own, OwnContext, Root, SetUpFunction, from_script, open, to_script};
use crate::{BufferState, Capabilities, ENGINE, Error, Exposure, IsolateBuilder, ViewState};

/// QuickJS, as driven by an [`Isolate`](crate::Isolate).
pub struct QuickJs {
    // Dropped in this order, after `Host::end`.
    pub(crate) context: OwnContext,
    pub(crate) runtime: Runtime,
    pub(crate) own: Rc<Own>,
    pub(crate) id: IsolateId,
    pub(crate) stack_size: usize,
}

/// The key to a [`QuickJs`]. Only this crate can create one.
pub struct Key(());

impl Key {
    pub(crate) fn new() -> Self {
        Key(())
    }
}

impl QuickJs {
    /// Makes a call that may run the program's code, such as an owner's drop or the interrupt handler. During the call,
    /// no handle calls QuickJS, so the handler is not called inside of itself.
    fn call_in<R>(&self, work: impl FnOnce(&Ctx<'_>) -> R) -> R {
        let _in_call = self.own.call();
        self.own.keep_stack_end(self.context.as_raw());
        work(&self.context.ctx())
    }

    /// Makes a call that runs script. Before it, script's buffers get the length to which shared memory has grown
    /// elsewhere.
    pub(crate) fn begin<'a, R>(&'a self, work: impl FnOnce(Ctx<'a>) -> R) -> R {
        let _in_call = self.own.call();
        let _script = adapter::script_runs();
        self.own.keep_stack_end(self.context.as_raw());
        let ctx = self.context.ctx();
        if !self.own.growing().is_empty() {
            sys::see_all_growth(&ctx, &self.own);
        }
        work(ctx)
    }

    /// Runs a script and calls `then` with its value.
    fn run<'a, R>(
        &'a self,
        source: Source<'_>,
        then: impl FnOnce(&Ctx<'a>, &Value<'a>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.begin(|ctx| {
            let mut options = EvalOptions::default();
            options.strict = false;
            options.filename = source.name().map(str::to_owned);
            let value = ctx.eval_with_options(source.text(), options).map_err(|error| self.error(&ctx, error))?;
            then(&ctx, &value)
        })
    }

    /// Converts an error of rquickjs. For an exception, takes the pending one, which a native function may throw again.
    fn error(&self, ctx: &Ctx<'_>, error: rquickjs::Error) -> Error {
        if !matches!(error, rquickjs::Error::Exception) {
            return from_rquickjs(ctx, error);
        }
        let (exception, error) = caught_value(ctx);
        self.own.note_thrown(&exception, &error);
        error
    }

    /// Calls a function of the set-up script. It calls nothing that script has replaced.
    fn call_own<'js, A: IntoArgs<'js>>(
        &self,
        ctx: &Ctx<'js>,
        function: SetUpFunction,
        arguments: A,
    ) -> Result<Value<'js>, Error> {
        self.own.function(ctx, function).call(arguments).map_err(|error| from_rquickjs(ctx, error))
    }
}

/// The buffer of a root, or the buffer of its view.
fn open_buffer<'js>(ctx: &Ctx<'js>, object: Rooted<'_, Root>) -> Result<Value<'js>, Error> {
    sys::view_buffer(ctx, &open(ctx, object)?)
}

// SAFETY: I-BORROW: `state`, `is_shared`, `is_immutable`, `window`, `lend` and `externalize` call only QuickJS's own
// functions and functions of this crate, which run no script. `lend` gives memory that only this runtime has. Script
// runs only in this isolate's only context: through the other calls below, and through the context that
// `ScopeExt::with_ctx` lends. The id belongs to the runtime's state, which ends with the runtime.
unsafe impl Host for QuickJs {
    const NAME: &'static str = ENGINE;
    const RELEASING_RUNS_CODE: bool = true;
    type Root = Root;
    type Builder = IsolateBuilder;
    type Key = Key;

    fn build(builder: IsolateBuilder, _: ByIsolate) -> Result<Self, Error> {
        builder.start()
    }

    fn id(&self) -> IsolateId {
        self.id
    }

    fn version(&self) -> String {
        sys::version().to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::SCRIPT
            | Capabilities::RESIZABLE
            | Capabilities::IMMUTABLE
            | Capabilities::DETACH_KEYS
            | Capabilities::SHARED
    }

    fn max_byte_length(&self) -> usize {
        sys::MAX_BYTE_LENGTH
    }

    fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        // An entered isolate is mutably borrowed, so this is the drop of a value that a dropped handle freed.
        assert!(!self.own.is_in_call(), "an isolate was entered during a call into it");
        self.context.with(|ctx| {
            self.own.set_stack_end(sys::limit_stack(&ctx, self.stack_size));
            work()
        })
    }

    fn release(&self, root: Root) {
        self.own.free(self.context.as_raw(), root);
    }

    fn end(self, roots: impl Iterator<Item = Root>) {
        self.context.with(|ctx| {
            roots.for_each(|root| self.own.free(ctx.as_raw(), root));
            self.own.end(&ctx);
        });
    }

    fn evaluate(&self, source: Source<'_>) -> Result<FromScript<Root>, Error> {
        self.run(source, from_script)
    }

    fn evaluate_buffer(&self, source: Source<'_>) -> Result<Root, Error> {
        self.run(source, |ctx, value| sys::view_buffer(ctx, value).map(|buffer| Root::new(&buffer)))
    }

    fn evaluate_view(&self, source: Source<'_>) -> Result<ViewState, Error> {
        self.run(source, sys::view_of)
    }

    fn run_microtasks(&self) -> Result<(), Error> {
        self.begin(|ctx| {
            while sys::run_job(&ctx).map_err(|error| self.error(&ctx, error))? {}
            Ok(())
        })
    }

    fn set_global(&self, name: &str, value: ToScript<'_, Root>) -> Result<(), Error> {
        self.begin(|ctx| {
            let value = to_script(&ctx, value)?;
            ctx.globals().set(name, value).map_err(|error| self.error(&ctx, error))
        })
    }

    fn global(&self, name: &str) -> Result<FromScript<Root>, Error> {
        self.begin(|ctx| {
            let value: Value<'_> = ctx.globals().get(name).map_err(|error| self.error(&ctx, error))?;
            from_script(&ctx, &value)
        })
    }

    fn call(&self, function: Rooted<'_, Root>, arguments: &[ToScript<'_, Root>]) -> Result<FromScript<Root>, Error> {
        self.begin(|ctx| {
            let function = open(&ctx, function)?.into_function().expect("a handle of a function");
            let failed = |error| self.error(&ctx, error);
            let mut passed = Args::new(ctx.clone(), arguments.len());
            for argument in arguments {
                passed.push_arg(to_script(&ctx, *argument)?).map_err(failed)?;
            }
            let value: Value<'_> = passed.apply(&function).map_err(failed)?;
            from_script(&ctx, &value)
        })
    }

    fn function(&self, name: &str, native: NativeFunction<Root>) -> Result<Root, Error> {
        self.call_in(|ctx| Ok(Root::new(&sys::new_function(ctx, name, native, &self.own)?)))
    }

    fn allocate(&self, byte_length: usize, max_byte_length: Option<usize>, shared: bool) -> Result<Root, Error> {
        self.call_in(|ctx| {
            let lengths = (byte_length as f64, max_byte_length.map_or(-1.0, |most| most as f64));
            let made = self.call_own(ctx, SetUpFunction::Allocate, (shared, lengths.0, lengths.1))?;
            Ok(Root::new(&made))
        })
    }

    fn expose(&self, store: &BackingStore, may_copy: bool) -> Result<(Root, Exposure), Error> {
        self.call_in(|ctx| {
            if may_copy && !store.kind().is_shared() {
                let (buffer, exposure) = store.expose_or_copy(ctx)?;
                return Ok((Root::new(buffer.as_value()), exposure));
            }
            let buffer = buffer_over(ctx, store)?;
            Ok((Root::new(&buffer), Exposure::External))
        })
    }

    fn expose_typed(
        &self,
        store: &BackingStore,
        element: Element,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<Root, Error> {
        self.call_in(|ctx| {
            let buffer = buffer_over(ctx, store)?;
            let array = sys::new_typed_array(ctx, &buffer, byte_offset, element_count, element)?;
            Ok(Root::new(&array))
        })
    }

    fn lend(&self, buffer: Rooted<'_, Root>) -> Result<Option<NonNull<[u8]>>, Error> {
        let lent = buffer.with(|root| sys::engine_bytes(root.as_raw()))?;
        if lent.is_none() && buffer.with(|root| sys::is_view(root.as_raw()))? {
            return self.call_in(|ctx| Ok(sys::engine_bytes(open_buffer(ctx, buffer)?.as_raw())));
        }
        Ok(lent)
    }

    #[track_caller]
    fn externalize(&self, buffer: Rooted<'_, Root>) -> Result<BackingStore, Error> {
        if let Some(store) = buffer.with(|root| sys::find_existing(root.as_raw()))? {
            return Ok(store);
        }
        let ctx = self.context.ctx();
        let buffer = open(&ctx, buffer)?;
        let is_in_call = self.own.is_in_call();
        // The memory that the buffer had may have an owner, whose drop may run any code.
        let _in_call = self.own.call();
        sys::externalize(&ctx, &buffer, is_in_call)
    }

    fn window(&self, object: Rooted<'_, Root>) -> Result<Window, Error> {
        self.call_in(|ctx| sys::window(ctx, &open(ctx, object)?))
    }

    fn state(&self, buffer: Rooted<'_, Root>) -> Result<BufferState, Error> {
        self.call_in(|ctx| sys::state_of(ctx, &open_buffer(ctx, buffer)?))
    }

    fn is_shared(&self, buffer: Rooted<'_, Root>) -> Result<bool, Error> {
        self.call_in(|ctx| sys::check_is_buffer(ctx, &open_buffer(ctx, buffer)?))
    }

    fn is_immutable(&self, buffer: Rooted<'_, Root>) -> Result<bool, Error> {
        if buffer.with(|root| sys::is_view(root.as_raw()))? {
            return self.call_in(|ctx| Ok(sys::is_immutable(open_buffer(ctx, buffer)?.as_raw())));
        }
        buffer.with(|root| sys::is_immutable(root.as_raw()))
    }

    fn set_detach_key(&self, buffer: Rooted<'_, Root>, key: Option<&str>) -> Result<(), Error> {
        self.call_in(|ctx| {
            let buffer = open(ctx, buffer)?;
            self.call_own(ctx, SetUpFunction::SetKey, (buffer, key)).map(drop)
        })
    }

    fn detach(
        &self,
        buffer: Rooted<'_, Root>,
        key: Option<&str>,
        check: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.call_in(|ctx| detach_with_key(ctx, &open_buffer(ctx, buffer)?, key, check))
    }

    fn transfer(
        &self,
        buffer: Rooted<'_, Root>,
        byte_length: Option<usize>,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<Root, Error> {
        self.call_in(|ctx| {
            let buffer = open(ctx, buffer)?;
            transfer_if(ctx, &buffer, byte_length, check).map(|moved| Root::new(&moved))
        })
    }

    fn resize(
        &self,
        buffer: Rooted<'_, Root>,
        byte_length: usize,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.call_in(|ctx| {
            let buffer = open(ctx, buffer)?;
            let state = sys::state_of(ctx, &buffer)?;
            check(&state)?;
            match state {
                BufferState { shared: true, .. } => sys::grow_shared(ctx, &buffer, byte_length),
                // QuickJS would ask the callback for one byte.
                BufferState { max_byte_length: 0, .. } => Ok(()),
                _ => sys::resize(ctx, &buffer, byte_length),
            }
        })
    }

    fn read(&self, buffer: Rooted<'_, Root>, index: usize) -> Result<Option<u8>, Error> {
        self.begin(|ctx| {
            let buffer = open(&ctx, buffer)?;
            let byte = self.call_own(&ctx, SetUpFunction::Read, (buffer, index as f64))?;
            Ok(byte.as_number().map(|byte| byte as u8))
        })
    }

    fn write(&self, buffer: Rooted<'_, Root>, index: usize, value: u8) -> Result<(), Error> {
        self.begin(|ctx| {
            let buffer = open(&ctx, buffer)?;
            self.call_own(&ctx, SetUpFunction::Write, (buffer, index as f64, value)).map(drop)
        })
    }

    fn retainers(&self, sought: &[Sought<'_, Root>], roots: Roots<'_, Root>) -> Result<Vec<Retainers>, Error> {
        self.call_in(|ctx| sys::retainers(ctx, sought, roots))
    }

    fn collect(&self) {
        self.call_in(|ctx| ctx.run_gc());
    }
}
