//! SharedArrayBuffers over shared stores, and how each keeps up with the length of its store.
//!
//! QuickJS has three functions per runtime for shared memory, which a program may set: to allocate, to count and to free.
//! Where the one that frees is set, no SharedArrayBuffer of the runtime calls its own callback, whoever made it; so it
//! is never set here, and each releases what it has by itself, as ArrayBuffers do.
//!
//! A growable SharedArrayBuffer of QuickJS has a length of its own, up to which it takes memory to be there. In an isolate
//! `grow` is replaced before any user code, so that none is ever longer than its store; they are made longer when script
//! asks for a length, uses `Atomics`, or begins. Elsewhere nobody can do that, so buffers over growable stores have one
//! length there.

use std::ffi::{c_int, c_void};
use std::rc::Rc;

use offheap::SharedStore;
use offheap::adapter::Hold;
use rquickjs::{Ctx, Object, Value, qjs};

use super::buffer::over_store;
use super::callback::hold_of_buffer;
use super::found::{Found, find_store};
use super::layout::{self, BufferFields, layout_changed};
use super::own::Own;
use super::realm::Realm;
use super::sort::is_shared;
use super::state::with_state;
use crate::{ENGINE, Error};

/// A SharedArrayBuffer over the bytes of `store`, without a copy.
pub(crate) fn expose_shared<'js>(ctx: &Ctx<'js>, store: &SharedStore) -> Result<Object<'js>, Error> {
    let growing = with_state(ctx, |state| {
        let realm = state.realm(ctx)?;
        check_released(realm)?;
        let can_grow = store.is_growable() && realm.layout_known.get();
        Ok(state.own().filter(|_| can_grow).map(|own| Rc::clone(own.growing())))
    })?;
    let byte_length = store.byte_length();
    let max_byte_length = growing.as_ref().map(|_| store.max_byte_length());
    let value = over_store(ctx, store.as_store(), byte_length, max_byte_length, Some(store), growing.as_ref())?;
    // SAFETY: owned by the call above, and of this runtime.
    let value = unsafe { Value::from_raw(ctx.clone(), value) };
    Ok(value.into_object().expect("a SharedArrayBuffer is an object"))
}

fn check_released(realm: &Realm) -> Result<(), Error> {
    let released = realm.shared_released.get().unwrap_or_else(|| {
        // SAFETY: the realm's context is alive, and this thread's to use.
        let released = unsafe { layout::is_shared_released(realm.as_ptr()) };
        realm.shared_released.set(Some(released));
        released
    });
    match released {
        true => Ok(()),
        false => Err(Error::Unsupported {
            engine: ENGINE,
            what: "tell when script is done with shared memory, in this runtime: it has a function that frees it",
            instead: "use a runtime without `JS_SetSharedArrayBufferFunctions`",
        }),
    }
}

/// Makes the buffer as long as its store is, where it is a growable SharedArrayBuffer over one.
pub(crate) fn see_growth<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>) -> Result<(), Error> {
    match growable(ctx, buffer)? {
        Some((store, byte_length)) if byte_length < store.byte_length() => {
            with_state(ctx, |state| set_byte_length(state.realm(ctx)?, buffer.as_raw(), store.byte_length()))
        }
        _ => Ok(()),
    }
}

/// Grows the SharedArrayBuffer `buffer`, its store first; false where it is not a growable one over a store.
pub(crate) fn grow_store<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>, byte_length: usize) -> Result<bool, Error> {
    let Some((store, _)) = growable(ctx, buffer)? else { return Ok(false) };
    let grown = store.grow(byte_length);
    // Also after a refusal: another thread has grown it.
    see_growth(ctx, buffer)?;
    grown?;
    Ok(true)
}

/// The store of a growable SharedArrayBuffer that is over one, and the length of the buffer.
fn growable<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>) -> Result<Option<(SharedStore, usize)>, Error> {
    if !is_shared(ctx, buffer)? {
        return Ok(None);
    }
    with_state(ctx, |state| {
        if !state.realm(ctx)?.layout_known.get() {
            // Where there are any that keep up, it was known once, and nobody may grow one now: it might be one of these.
            return match state.own().is_some_and(|own| !own.growing().is_empty()) {
                true => Err(layout_changed()),
                false => Ok(None),
            };
        }
        // SAFETY: I-LAYOUT: a live SharedArrayBuffer, and the layout was probed.
        let fields = unsafe { BufferFields::of(buffer.as_raw()) };
        // SAFETY: I-LAYOUT: nothing of QuickJS runs while this reference lives.
        let fields = unsafe { fields.as_ref() };
        if !fields.is_resizable() {
            return Ok(None);
        }
        let byte_length = fields.byte_length as usize;
        match find_store(ctx, state, buffer) {
            Ok(Found::Store(store)) => Ok(SharedStore::try_from(store).ok().map(|store| (store, byte_length))),
            _ => Ok(None),
        }
    })
}

/// Makes the growable SharedArrayBuffer `buffer` longer, and its views that have no length of their own.
fn set_byte_length(realm: &Realm, buffer: qjs::JSValue, byte_length: usize) -> Result<(), Error> {
    let length = c_int::try_from(byte_length).expect("within the maximum of the buffer");
    let length = qjs::JS_MKVAL(qjs::JS_TAG_INT, length);
    realm.call(realm.grow, buffer, &mut [length]).map(drop)
}

/// Makes every SharedArrayBuffer of the isolate of `own` as long as its store is. Where that fails (an interrupt handler
/// wants it to) script sees the lengths that it saw before.
pub(crate) fn see_all_growth(ctx: &Ctx<'_>, own: &Own) {
    let _ = with_state(ctx, |state| {
        let realm = state.realm(ctx)?;
        if !realm.layout_known.get() {
            return Ok(());
        }
        own.growing().each(|buffer| {
            // SAFETY: I-LAYOUT: a live SharedArrayBuffer, and the layout was probed.
            let fields = unsafe { BufferFields::of(buffer) };
            // SAFETY: I-LAYOUT: nothing of QuickJS runs while this reference lives.
            let fields = unsafe { fields.as_ref() };
            let Some(hold) = hold_of_buffer(fields) else { return Ok(()) };
            let before = fields.byte_length as usize;
            // SAFETY: I-FREE-ONCE: the hold of a living buffer, which shared memory keeps until it dies.
            let byte_length = unsafe { Hold::with_raw(hold, Hold::byte_length) };
            if byte_length == before {
                return Ok(());
            }
            // SAFETY: one more reference, which the `Value` frees: an interrupt handler may drop others.
            let owned = unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), buffer) };
            // SAFETY: owned by the call above, and of this runtime.
            let _kept = unsafe { Value::from_raw(ctx.clone(), owned) };
            set_byte_length(realm, buffer, byte_length)
        })
    });
}

/// Grows the growable SharedArrayBuffer `buffer` within its maximum, and its store where it is over one.
pub(crate) fn grow_shared<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>, byte_length: usize) -> Result<(), Error> {
    if !grow_store(ctx, buffer, byte_length)? {
        with_state(ctx, |state| set_byte_length(state.realm(ctx)?, buffer.as_raw(), byte_length))?;
    }
    Ok(())
}

/// Lets script of the isolate with this context, its only one, make growable SharedArrayBuffers, which QuickJS does where
/// it is told how to allocate memory for them.
pub(crate) fn allow_growable(ctx: &Ctx<'_>) {
    let context = ctx.as_raw().as_ptr();
    unsafe extern "C" fn allocate(opaque: *mut c_void, byte_length: qjs::size_t) -> *mut c_void {
        // SAFETY: the isolate's context, whose script asks for the memory; it throws where there is none. QuickJS frees
        // the memory as it frees its own, since no function that does is set.
        unsafe { qjs::js_malloc(opaque.cast(), byte_length) }
    }
    let functions = qjs::JSSharedArrayBufferFunctions {
        sab_alloc: Some(allocate),
        sab_free: None,
        sab_dup: None,
        sab_opaque: context.cast(),
    };
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(context) };
    // SAFETY: the runtime is alive, and no SharedArrayBuffer is in it yet; the functions are copied.
    unsafe { qjs::JS_SetSharedArrayBufferFunctions(runtime, &functions) };
}

/// Lets script of the runtime of `ctx` wait in `Atomics.wait`, or not.
pub(crate) fn set_can_block(ctx: &Ctx<'_>, can_block: bool) {
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
    // SAFETY: sets a flag of a live runtime.
    unsafe { qjs::JS_SetCanBlock(runtime, can_block) };
}
