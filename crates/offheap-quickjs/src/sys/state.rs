//! What is kept per runtime: its name as an isolate, and the private realm.

use std::cell::OnceCell;
use std::rc::Rc;

use offheap::IsolateId;
use offheap_engine::memory::{EndedCount, LastIsolate};
use offheap_engine::{in_finalizer, refused_in_finalizer};
use rquickjs::{Ctx, JsLifetime, qjs};

use super::middle::{NoCollection, Probe};
use super::name::{Name, check_not_ending};
use super::own::Own;
use super::realm::Realm;
use crate::{ENGINE, Error};

/// The state of one runtime. It lives in the runtime's user data, and so ends before the runtime frees its objects: what
/// finalizers need must not be here.
#[derive(Default)]
pub(crate) struct State {
    realm: OnceCell<Realm>,
    probe: Probe,
    /// Where this is the runtime of an `Isolate`. The runtime has only that isolate's own context then, which enforces immutable
    /// buffers.
    own: OnceCell<Rc<Own>>,
    name: Name,
}

// SAFETY: I-NO-JS-OWNER: `State` has no lifetime to change; the values in its realm are freed with it, and it is dropped
// while the runtime lives.
unsafe impl<'js> JsLifetime<'js> for State {
    type Changed<'to> = State;
}

static ENDED: EndedCount = EndedCount::new();

thread_local! {
    static LAST: LastIsolate = const { LastIsolate::new() };
}

impl Drop for State {
    fn drop(&mut self) {
        // Before the runtime's memory is freed, so before another runtime can have its address.
        ENDED.note();
    }
}

impl State {
    pub(crate) fn isolate(&self) -> IsolateId {
        self.name.get().expect("named before anybody has the state")
    }

    /// The private realm, made at the first call, which is not to be while values are being freed: that takes objects to be
    /// made and to be finalized.
    pub(crate) fn realm(&self, ctx: &Ctx<'_>) -> Result<&Realm, Error> {
        if let Some(realm) = self.realm.get() {
            return Ok(realm);
        }
        self.check_not_freeing(ctx)?;
        let _no_collection = NoCollection::begin(ctx.as_raw());
        let realm = Realm::new(ctx)?;
        Ok(self.realm.get_or_init(|| realm))
    }

    /// An error while QuickJS frees values or collects, in this runtime, which `ctx` is of.
    pub(super) fn check_not_freeing(&self, ctx: &Ctx<'_>) -> Result<(), Error> {
        self.probe.check(ctx)
    }

    /// What an `Isolate` keeps, where this is the runtime of one.
    pub(crate) fn own(&self) -> Option<&Rc<Own>> {
        self.own.get()
    }

    /// Makes this the runtime of an `Isolate`.
    pub(crate) fn set_own(&self, own: Rc<Own>) {
        assert!(self.own.set(own).is_ok(), "a runtime is the runtime of one isolate");
    }
}

/// Calls `use_state` with the state of the runtime of `ctx`, which is made at the first call.
pub(crate) fn with_state<R>(ctx: &Ctx<'_>, use_state: impl FnOnce(&State) -> Result<R, Error>) -> Result<R, Error> {
    if in_finalizer() {
        return Err(refused_in_finalizer(ENGINE));
    }
    check_not_ending(ctx)?;
    let use_named = |state: &State| state.name.give(ctx).and_then(|()| use_state(state));
    if let Some(state) = ctx.userdata::<State>() {
        return use_named(&state);
    }
    ctx.store_userdata(State::default()).map_err(|_| Error::Unsupported {
        engine: ENGINE,
        what: "register this runtime while some of its user data is borrowed",
        instead: "drop that borrow first",
    })?;
    let state = ctx.userdata::<State>().expect("stored just now");
    use_named(&state)
}

/// The runtime of `ctx` as an isolate.
#[inline]
pub(crate) fn isolate_id(ctx: &Ctx<'_>) -> Result<IsolateId, Error> {
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
    LAST.with(|last| match last.get(&ENDED, runtime.addr()) {
        Some(id) if !in_finalizer() => Ok(id),
        _ => last.find(&ENDED, runtime.addr(), || with_state(ctx, |state| Ok(state.isolate()))),
    })
}
