//! The context of a scope, to look or to call.

use std::ops::Deref;
use std::rc::Rc;

use rquickjs::Ctx;

use crate::sys::{self, InCall, Roots};

/// The context of a scope, and the roots of its isolate.
pub(super) struct Engine<'s> {
    ctx: Ctx<'s>,
    pub(super) roots: Rc<Roots>,
}

/// A call, for as long as it lives: it derefs to the context.
pub(super) struct Call<'a, 's> {
    ctx: &'a Ctx<'s>,
    _in_call: InCall<'a>,
}

impl<'s> Engine<'s> {
    pub(super) fn new(ctx: Ctx<'s>, roots: Rc<Roots>) -> Self {
        Engine { ctx, roots }
    }

    /// The context to look at something, as where a guard lives: nobody's code runs.
    pub(super) fn look(&self) -> &Ctx<'s> {
        &self.ctx
    }

    /// The context for what may run code of others, in a method that takes `&mut` of the scope: no guard lives.
    pub(super) fn call(&self) -> Call<'_, 's> {
        self.roots.free_released();
        Call { ctx: &self.ctx, _in_call: self.roots.call() }
    }

    /// As [`call`](Self::call), for what runs script: that sees growth of shared memory that took place elsewhere.
    pub(super) fn begin(&self) -> Call<'_, 's> {
        let call = self.call();
        if !self.roots.growing().is_empty() {
            sys::see_all_growth(&self.ctx, &self.roots);
        }
        call
    }
}

impl<'s> Deref for Call<'_, 's> {
    type Target = Ctx<'s>;

    fn deref(&self) -> &Ctx<'s> {
        self.ctx
    }
}
