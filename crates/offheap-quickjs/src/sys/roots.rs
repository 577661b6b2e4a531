//! The table behind handles: JavaScript values of one isolate, freed with it at the latest. Its slots hold what handles are
//! for and nothing else, since a handle for any of them can be made up.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::rc::Rc;

use offheap::{BackingStore, IsolateId};
use offheap_engine::{RootTable, Slots, in_finalizer, refused_in_finalizer};
use rquickjs::{Ctx, Function, Value, qjs};

use super::growing::Growing;
use super::middle::InCall;
use super::retarget::externalize;
use crate::{ENGINE, Error};

pub(crate) struct Roots {
    isolate: IsolateId,
    /// `None` once the isolate has ended.
    ctx: Cell<Option<NonNull<qjs::JSContext>>>,
    slots: RefCell<Slots<qjs::JSValue>>,
    /// Functions of the isolate's own, which no handle can name.
    key_functions: RefCell<Option<KeyFunctions<qjs::JSValue>>>,
    /// How often the isolate is entered.
    entered: Cell<u32>,
    /// How many calls into QuickJS are going on that may run code of others.
    calls: Cell<u32>,
    /// The SharedArrayBuffers that keep up with growing stores.
    growing: Rc<Growing>,
}

/// What an isolate's set-up script gives for detach keys.
#[derive(Clone, Copy)]
pub(crate) struct KeyFunctions<F> {
    pub(crate) set: F,
    pub(crate) check: F,
}

impl Roots {
    /// A root for `value`, which is of this isolate.
    ///
    /// # Errors
    /// [`Error::Memory`] where there is no memory.
    pub(crate) fn root(&self, value: Value<'_>) -> Result<usize, Error> {
        let raw = value.as_raw();
        self.slots.borrow_mut().insert_with(|| {
            // SAFETY: I-NO-JS-OWNER: one more reference, which the table frees.
            unsafe { qjs::JS_DupValue(value.ctx().as_raw().as_ptr(), raw) }
        })
    }

    /// The value of a root. `ctx` is of this isolate.
    pub(crate) fn get<'js>(&self, ctx: &Ctx<'js>, slot: usize) -> Result<Value<'js>, Error> {
        let raw = self.raw(slot)?;
        // SAFETY: one more reference, which the `Value` frees.
        let owned = unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), raw) };
        // SAFETY: owned by the call above; a handle's isolate was compared with this one's by the caller.
        Ok(unsafe { Value::from_raw(ctx.clone(), owned) })
    }

    /// The functions for detach keys. `ctx` is of this isolate, which has not ended.
    pub(crate) fn key_functions<'js>(&self, ctx: &Ctx<'js>) -> KeyFunctions<Function<'js>> {
        let KeyFunctions { set, check } = self.key_functions.borrow().expect("there until the isolate ends");
        let function = |raw| {
            // SAFETY: one more reference, which the `Value` frees.
            let owned = unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), raw) };
            // SAFETY: owned by the call above, and of this isolate.
            let value = unsafe { Value::from_raw(ctx.clone(), owned) };
            value.into_function().expect("a function")
        };
        KeyFunctions { set: function(set), check: function(check) }
    }

    /// The SharedArrayBuffers that keep up with growing stores.
    pub(crate) fn growing(&self) -> &Rc<Growing> {
        &self.growing
    }

    /// A call into QuickJS that may run code of others begins, and goes on while the result lives. Handles get no store then
    /// that there is not yet.
    #[inline]
    pub(crate) fn call(&self) -> InCall<'_> {
        InCall::new(&self.calls)
    }

    fn raw(&self, slot: usize) -> Result<qjs::JSValue, Error> {
        match self.ctx.get() {
            Some(_) => self.slots.borrow().get(slot).copied().ok_or(Error::IsolateGone),
            None => Err(Error::IsolateGone),
        }
    }

    /// Frees what handles let go of meanwhile. No guard lives now, and no engine code waits for an owner's drop.
    #[inline]
    pub(crate) fn free_released(&self) {
        if self.slots.borrow().has_released() {
            self.free_all_released();
        }
    }

    fn free_all_released(&self) {
        let Some(ctx) = self.ctx.get() else { return };
        loop {
            // A statement of its own, so that the list is not borrowed: freeing one may release others.
            let Some(value) = self.slots.borrow_mut().take_released() else { return };
            self.free(ctx, value);
        }
    }

    /// Frees a value that was the table's. What goes with it may be anybody's code.
    fn free(&self, ctx: NonNull<qjs::JSContext>, value: qjs::JSValue) {
        let _in_call = self.call();
        // SAFETY: I-NO-JS-OWNER: the table's reference, freed once; the context lives until `end` is over, and handles stay
        // on the isolate's thread.
        unsafe { qjs::JS_FreeValue(ctx.as_ptr(), value) };
    }

    /// Enters the isolate for as long as the result lives.
    pub(crate) fn enter(&self) -> Entered<'_> {
        self.entered.set(self.entered.get() + 1);
        self.free_released();
        Entered(self)
    }

    /// Frees what is left: the isolate ends. What handles do afterwards does nothing.
    pub(crate) fn end(&self) {
        self.free_all_released();
        let Some(ctx) = self.ctx.take() else { return };
        let slots = std::mem::take(&mut *self.slots.borrow_mut());
        let functions = self.key_functions.take().into_iter().flat_map(|functions| [functions.set, functions.check]);
        for value in slots.into_values().chain(functions) {
            self.free(ctx, value);
        }
    }
}

impl RootTable for Roots {
    fn isolate(&self) -> IsolateId {
        self.isolate
    }

    fn duplicate(&self, slot: usize) -> usize {
        self.slots.borrow_mut().duplicate(slot)
    }

    fn release(&self, slot: usize) {
        let Some(ctx) = self.ctx.get() else { return };
        // Freeing an object may drop what Rust put behind it, and that may run script: not while a guard may live, as it
        // may inside of a scope, and not while QuickJS waits for an owner's drop.
        let put_off = self.entered.get() != 0 || in_finalizer();
        // Out of the table first: freeing the value may drop owners, whose code may be anything.
        let released = self.slots.borrow_mut().release(slot, put_off);
        if let Some(value) = released {
            self.free(ctx, value);
        }
    }

    #[track_caller]
    fn externalize(&self, slot: usize) -> Result<BackingStore, Error> {
        if in_finalizer() {
            return Err(refused_in_finalizer(ENGINE));
        }
        let raw = self.raw(slot)?;
        let ctx = self.ctx.get().expect("the isolate lives");
        // SAFETY: the context lives, and handles stay on the isolate's thread. The lifetime ends with this call.
        let ctx = unsafe { Ctx::from_raw(ctx) };
        // SAFETY: one more reference, which the `Value` frees.
        let owned = unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), raw) };
        // SAFETY: owned by the call above, and of this context's runtime.
        let value = unsafe { Value::from_raw(ctx.clone(), owned) };
        let is_in_call = self.calls.get() != 0;
        // The memory that the buffer had may have an owner, whose drop is anybody's code.
        let _in_call = self.call();
        externalize(&ctx, &value, is_in_call)
    }
}

/// The roots of the isolate whose context is `ctx`, which ends them before the context ends (`Isolate`).
pub(crate) fn roots<'js>(isolate: IsolateId, ctx: &Ctx<'js>, functions: KeyFunctions<Function<'js>>) -> Roots {
    let dup = |function: Function<'js>| {
        // SAFETY: I-NO-JS-OWNER: one more reference, which `end` frees.
        unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), function.as_value().as_raw()) }
    };
    Roots {
        isolate,
        ctx: Cell::new(Some(ctx.as_raw())),
        slots: RefCell::default(),
        key_functions: RefCell::new(Some(KeyFunctions { set: dup(functions.set), check: dup(functions.check) })),
        entered: Cell::new(0),
        calls: Cell::new(0),
        growing: Rc::default(),
    }
}

/// The isolate is entered while this lives.
pub(crate) struct Entered<'a>(&'a Roots);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.free_released();
        self.0.entered.set(self.0.entered.get() - 1);
    }
}
