//! The table behind handles: JavaScript values of one isolate, freed with it at the latest.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use offheap::{BackingStore, IsolateId};
use offheap_engine::{RootTable, Slots, is_letting_go, letting_go};
use rquickjs::{Ctx, Function, Value, qjs};

use super::retarget::externalize;
use crate::{ENGINE, Error};

pub(crate) struct Roots {
    isolate: IsolateId,
    /// `None` once the isolate has ended.
    ctx: Cell<Option<NonNull<qjs::JSContext>>>,
    slots: RefCell<Slots<qjs::JSValue>>,
    /// How often the isolate is entered.
    entered: Cell<u32>,
    /// Whether there may be SharedArrayBuffers that keep up with growing stores.
    keeps_up: Cell<bool>,
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

    /// The function in a slot of the isolate's own. `ctx` is of this isolate.
    pub(crate) fn function<'js>(&self, ctx: &Ctx<'js>, slot: usize) -> Result<Function<'js>, Error> {
        Ok(self.get(ctx, slot)?.into_function().expect("the slot of a function"))
    }

    pub(crate) fn keeps_up(&self) -> bool {
        self.keeps_up.get()
    }

    /// From now on there are SharedArrayBuffers that keep up with growing stores.
    pub(super) fn set_keeps_up(&self) {
        self.keeps_up.set(true);
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
            // SAFETY: I-NO-JS-OWNER: the table's reference, freed once; the context lives until `end`.
            unsafe { qjs::JS_FreeValue(ctx.as_ptr(), value) };
        }
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
        let ctx = self.ctx.take();
        let slots = std::mem::take(&mut *self.slots.borrow_mut());
        for value in slots.into_values() {
            let ctx = ctx.expect("an ended table is empty");
            // SAFETY: I-NO-JS-OWNER: the table's reference, freed once; the context lives during the call.
            unsafe { qjs::JS_FreeValue(ctx.as_ptr(), value) };
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
        let put_off = self.entered.get() != 0 || is_letting_go();
        // Out of the table first: freeing the value may drop owners, whose code may be anything.
        let released = self.slots.borrow_mut().release(slot, put_off);
        if let Some(value) = released {
            // SAFETY: I-NO-JS-OWNER: the table's reference, freed once; handles stay on the isolate's thread.
            unsafe { qjs::JS_FreeValue(ctx.as_ptr(), value) };
        }
    }

    #[track_caller]
    fn externalize(&self, slot: usize) -> Result<BackingStore, Error> {
        if is_letting_go() {
            return Err(letting_go(ENGINE));
        }
        let raw = self.raw(slot)?;
        let ctx = self.ctx.get().expect("the isolate lives");
        // SAFETY: the context lives, and handles stay on the isolate's thread. The lifetime ends with this call.
        let ctx = unsafe { Ctx::from_raw(ctx) };
        // SAFETY: one more reference, which the `Value` frees.
        let owned = unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), raw) };
        // SAFETY: owned by the call above, and of this context's runtime.
        let value = unsafe { Value::from_raw(ctx.clone(), owned) };
        externalize(&ctx, &value)
    }
}

/// The roots of the isolate whose context is `ctx`, which ends them before the context ends (`Isolate`).
pub(crate) fn roots(isolate: IsolateId, ctx: &Ctx<'_>) -> Roots {
    Roots {
        isolate,
        ctx: Cell::new(Some(ctx.as_raw())),
        slots: RefCell::default(),
        entered: Cell::new(0),
        keeps_up: Cell::new(false),
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
