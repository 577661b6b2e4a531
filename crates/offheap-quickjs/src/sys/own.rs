//! The state of an `Isolate` besides the roots of its handles: the functions of its set-up script, which no handle
//! can reach, and the calls that are running.

use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

use offheap::adapter::stack_pointer;
use offheap_engine::ScriptError;
use rquickjs::{Context, Ctx, Function, Value, qjs};

use super::growing::Growing;
use super::middle::InCall;
use super::stack::limit_stack_at;
use crate::Error;

/// The functions that an isolate's set-up script returns, in its order.
#[derive(Clone, Copy)]
pub(crate) enum SetUpFunction {
    SetKey,
    CheckKey,
    Allocate,
    Read,
    Write,
}

const FUNCTION_COUNT: usize = 5;

/// The state of an `Isolate`. If the state of a runtime contains it, the runtime belongs to an `Isolate`.
pub(crate) struct Own {
    /// `None` after the isolate's end.
    functions: Cell<Option<[qjs::JSValue; FUNCTION_COUNT]>>,
    /// The number of running calls into QuickJS that may run foreign code.
    calls: Cell<u32>,
    /// Whether script is calling a native function, which has a scope.
    in_function: Cell<bool>,
    /// The address where the stack of script ends, since the isolate was entered last.
    stack_end: Cell<usize>,
    /// The exception that the innermost native function got from script last.
    thrown: Cell<Option<Thrown>>,
    /// The SharedArrayBuffers that follow growing stores.
    growing: Rc<Growing>,
}

/// An exception, and the error that was made of it.
struct Thrown {
    exception: Root,
    error: ScriptError,
}

impl Own {
    /// Keeps the functions of `ctx`, the isolate's own context, until [`end`](Self::end).
    pub(crate) fn new<'js>(ctx: &Ctx<'js>, functions: [Function<'js>; FUNCTION_COUNT]) -> Self {
        let functions = functions.map(|function| {
            // SAFETY: I-NO-JS-OWNER: adds a reference, which `end` frees.
            unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), function.as_value().as_raw()) }
        });
        Own {
            functions: Cell::new(Some(functions)),
            calls: Cell::new(0),
            in_function: Cell::new(false),
            stack_end: Cell::new(0),
            thrown: Cell::default(),
            growing: Rc::default(),
        }
    }

    /// A function of the set-up script. `ctx` is of this isolate, which has not ended.
    pub(crate) fn function<'js>(&self, ctx: &Ctx<'js>, which: SetUpFunction) -> Function<'js> {
        let functions = self.functions.get().expect("there until the isolate ends");
        let value = value_of(ctx, &Root(functions[which as usize]));
        value.into_function().expect("a function")
    }

    /// The SharedArrayBuffers that follow growing stores.
    pub(crate) fn growing(&self) -> &Rc<Growing> {
        &self.growing
    }

    /// Counts a call into QuickJS that may run foreign code, for as long as the result lives.
    #[inline]
    pub(crate) fn call(&self) -> InCall<'_> {
        InCall::new(&self.calls)
    }

    /// Whether such a call is running. During one, a handle returns only a store that its buffer already has. While
    /// script calls a native function of the isolate, only the calls of that function count.
    pub(crate) fn is_in_call(&self) -> bool {
        self.calls.get() != 0
    }

    /// Notes where the stack of script ends, when the isolate is entered.
    pub(crate) fn set_stack_end(&self, address: usize) {
        self.stack_end.set(address);
    }

    /// Keeps that end for script that is called from here. `ctx` is of this isolate, which is entered.
    #[inline]
    pub(crate) fn keep_stack_end(&self, ctx: NonNull<qjs::JSContext>) {
        limit_stack_at(ctx, self.stack_end.get());
    }

    /// Whether script has no stack left. QuickJS checks that when it calls functions, except for native ones.
    pub(super) fn is_stack_full(&self) -> bool {
        stack_pointer() < self.stack_end.get()
    }

    /// Begins a call of a native function with a scope: QuickJS waits for it at a place where script runs, so handles
    /// may be used in it as outside of a call. `ctx` is the context of the caller.
    pub(crate) fn enter_function(&self, ctx: NonNull<qjs::JSContext>) -> InFunction<'_> {
        let (calls, was_in_function) = (self.calls.replace(0), self.in_function.replace(true));
        InFunction { own: self, ctx, calls, was_in_function, thrown: self.thrown.take() }
    }

    /// Notes an exception of script and the error for it, so that a native function can throw it again.
    pub(crate) fn note_thrown(&self, exception: &Value<'_>, error: &Error) {
        if let Error::Script(error) = error
            && self.in_function.get()
        {
            let before = self.thrown.replace(Some(Thrown { exception: Root::new(exception), error: error.clone() }));
            self.forget(exception.ctx().as_raw(), before);
        }
    }

    fn forget(&self, ctx: NonNull<qjs::JSContext>, thrown: Option<Thrown>) {
        if let Some(thrown) = thrown {
            self.free(ctx, thrown.exception);
        }
    }

    /// Frees the functions when the isolate ends. `ctx` is its context.
    pub(crate) fn end(&self, ctx: &Ctx<'_>) {
        for function in self.functions.take().into_iter().flatten() {
            self.free(ctx.as_raw(), Root(function));
        }
    }

    /// Frees a root of this isolate, whose context `ctx` is alive. Freeing it may run any code.
    pub(crate) fn free(&self, ctx: NonNull<qjs::JSContext>, root: Root) {
        let _in_call = self.call();
        // SAFETY: I-NO-JS-OWNER: the root's reference, which is freed once, because the root is moved in; the
        // context is alive, and this is its thread.
        unsafe { qjs::JS_FreeValue(ctx.as_ptr(), root.0) };
    }
}

/// See [`Own::enter_function`].
pub(crate) struct InFunction<'a> {
    own: &'a Own,
    ctx: NonNull<qjs::JSContext>,
    // What counts again after the call.
    calls: u32,
    was_in_function: bool,
    thrown: Option<Thrown>,
}

impl InFunction<'_> {
    /// The exception that `error` was made of, if the function got it from script last.
    pub(crate) fn thrown_as<'js>(&self, ctx: &Ctx<'js>, error: &Error) -> Option<Value<'js>> {
        let Error::Script(error) = error else { return None };
        let thrown = self.own.thrown.take()?;
        let exception = (thrown.error == *error).then(|| value_of(ctx, &thrown.exception));
        self.own.thrown.set(Some(thrown));
        exception
    }
}

impl Drop for InFunction<'_> {
    fn drop(&mut self) {
        let thrown = self.own.thrown.replace(self.thrown.take());
        self.own.calls.set(self.calls);
        self.own.in_function.set(self.was_in_function);
        self.own.forget(self.ctx, thrown);
    }
}

/// One reference to a value of an isolate, which [`Own::free`] frees.
pub struct Root(qjs::JSValue);

impl Root {
    /// Adds a reference to a value.
    pub(crate) fn new(value: &Value<'_>) -> Self {
        // SAFETY: I-NO-JS-OWNER: adds a reference, which `Own::free` frees.
        Root(unsafe { qjs::JS_DupValue(value.ctx().as_raw().as_ptr(), value.as_raw()) })
    }

    /// The value, which lives as long as the root.
    #[inline]
    pub(crate) fn as_raw(&self) -> qjs::JSValue {
        self.0
    }
}

/// The value of a root. `ctx` is of the root's isolate.
pub(crate) fn value_of<'js>(ctx: &Ctx<'js>, root: &Root) -> Value<'js> {
    // SAFETY: adds a reference, which the `Value` frees.
    let owned = unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), root.0) };
    // SAFETY: the call above returned an owned value; only the table of this isolate has its roots.
    unsafe { Value::from_raw(ctx.clone(), owned) }
}

/// The context of an isolate. It is used without rquickjs's lock while the isolate is not entered, because an
/// isolate and its handles stay on one thread.
pub(crate) struct OwnContext {
    context: Context,
    /// The same context as a raw pointer.
    raw: NonNull<qjs::JSContext>,
}

impl OwnContext {
    pub(crate) fn new(context: Context) -> Self {
        let raw = context.with(|ctx| ctx.as_raw());
        OwnContext { context, raw }
    }

    /// Calls `work` under rquickjs's lock, which is taken once.
    pub(crate) fn with<R>(&self, work: impl FnOnce(Ctx<'_>) -> R) -> R {
        self.context.with(work)
    }

    #[inline]
    pub(crate) fn ctx(&self) -> Ctx<'_> {
        // SAFETY: I-NO-JS-OWNER: `context` keeps it alive, and both are on the isolate's thread.
        unsafe { Ctx::from_raw(self.raw) }
    }

    pub(crate) fn as_raw(&self) -> NonNull<qjs::JSContext> {
        self.raw
    }
}
