//! The state of a runtime: its id as an isolate, and the private realm.

use std::cell::OnceCell;
use std::rc::Rc;

use offheap::IsolateId;
use offheap::adapter::{self, WithScriptStack};
use offheap::observe::ScriptStack;
use offheap_engine::{in_finalizer, refused_in_finalizer};
use rquickjs::{Ctx, JsLifetime, Value, qjs};

use super::last::{ENDED, LAST};
use super::middle::{NoCollection, Probe};
use super::name::{Name, check_not_ending};
use super::own::Own;
use super::realm::Realm;
use crate::{ENGINE, Error};

/// The state of one runtime. It lives in the runtime's user data, so it ends before the runtime frees its objects.
/// Data that finalizers need must not be here.
#[derive(Default)]
pub(crate) struct State {
    realm: OnceCell<Realm>,
    probe: Probe,
    /// Set if the runtime belongs to an `Isolate`. Then it has only that isolate's own context, which enforces
    /// immutable buffers.
    own: OnceCell<Rc<Own>>,
    name: Name,
}

// SAFETY: I-NO-JS-OWNER: `State` has no lifetime to change. The values in its realm are freed with it, and it is
// dropped while the runtime is alive.
unsafe impl<'js> JsLifetime<'js> for State {
    type Changed<'to> = State;
}

impl Drop for State {
    fn drop(&mut self) {
        // This runs before the runtime's memory is freed, so before another runtime can get its address.
        ENDED.note();
    }
}

impl State {
    pub(crate) fn isolate(&self) -> IsolateId {
        self.name.get().expect("a state is named before it is used")
    }

    /// Gives the isolate a name, for reports.
    pub(crate) fn set_isolate_name(&self, name: &str) -> Result<(), Error> {
        self.name.set_isolate_name(name)
    }

    /// The private realm, made at the first call. It must not be made while values are being freed, because making
    /// it creates and finalizes objects.
    pub(crate) fn realm(&self, ctx: &Ctx<'_>) -> Result<&Realm, Error> {
        if let Some(realm) = self.realm.get() {
            return Ok(realm);
        }
        self.check_not_freeing(ctx)?;
        let _no_collection = NoCollection::begin(ctx.as_raw());
        let realm = Realm::new(ctx)?;
        Ok(self.realm.get_or_init(|| realm))
    }

    /// Returns an error if QuickJS is freeing values or collecting in this runtime. `ctx` is one of its contexts.
    pub(super) fn check_not_freeing(&self, ctx: &Ctx<'_>) -> Result<(), Error> {
        self.probe.check(ctx)
    }

    /// The state of the `Isolate` to which this runtime belongs, if there is one.
    pub(crate) fn own(&self) -> Option<&Rc<Own>> {
        self.own.get()
    }

    /// Makes this the runtime of an `Isolate`.
    pub(crate) fn set_own(&self, own: Rc<Own>) {
        assert!(self.own.set(own).is_ok(), "a runtime is the runtime of one isolate");
    }
}

/// Calls `use_state` with the state of the runtime of `ctx`, which the first call makes.
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

/// The functions of scripts in the running call of the runtime of `ctx`; none where that cannot be found out.
pub(crate) fn script_stack(ctx: &Ctx<'_>) -> ScriptStack {
    with_state(ctx, |state| Ok(state.realm(ctx)?.script_stack())).unwrap_or_default()
}

/// If the observer `wants` it, says which functions of scripts are running, for the events while the result lives. It is called
/// before QuickJS or a store is changed.
#[inline]
pub(super) fn with_script_stack(ctx: &Ctx<'_>, wants: bool) -> Option<WithScriptStack> {
    if wants { find_script_stack(ctx) } else { None }
}

#[cold]
#[inline(never)]
fn find_script_stack(ctx: &Ctx<'_>) -> Option<WithScriptStack> {
    Some(adapter::with_script_stack(script_stack(ctx)))
}

/// The context of `value`, which must be of the runtime of `ctx`.
///
/// # Errors
/// [`Error::WrongIsolate`].
#[inline]
pub(crate) fn same_runtime<'a, 'js>(ctx: &Ctx<'_>, value: &'a Value<'js>) -> Result<&'a Ctx<'js>, Error> {
    let there = value.ctx();
    // SAFETY: reads a field of each of two live contexts.
    let [here, of_value] = unsafe { [ctx.as_raw(), there.as_raw()].map(|ctx| qjs::JS_GetRuntime(ctx.as_ptr())) };
    if here == of_value {
        return Ok(there);
    }
    Err(Error::WrongIsolate { handle: isolate_id(there)?, here: isolate_id(ctx)? })
}

/// The id of the runtime of `ctx` as an isolate.
#[inline]
pub(crate) fn isolate_id(ctx: &Ctx<'_>) -> Result<IsolateId, Error> {
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
    LAST.with(|last| match last.get(&ENDED, runtime.addr()) {
        Some(id) if !in_finalizer() => Ok(id),
        _ => last.find(&ENDED, runtime.addr(), || with_state(ctx, |state| Ok(state.isolate()))),
    })
}
