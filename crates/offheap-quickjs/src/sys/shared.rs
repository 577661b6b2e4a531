//! SharedArrayBuffers over shared stores, and how they follow the length of their stores.
//!
//! QuickJS has three functions per runtime for shared memory, which a program may set: to allocate, to count and to
//! free. If the free function is set, no SharedArrayBuffer of the runtime calls its own callback. So this adapter
//! never sets it, and each SharedArrayBuffer releases its memory itself, as ArrayBuffers do.
//!
//! Each growable SharedArrayBuffer of QuickJS has a separate length, and QuickJS assumes that there is memory up to
//! that length. An isolate replaces `grow` before any user code runs, so no buffer is ever longer than its store.
//! Buffers get the length of their stores when script reads a length, uses `Atomics`, or starts. Outside of an
//! isolate `grow` cannot be replaced safely, so a buffer over a growable store has a fixed length there.

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
    let kind = store.as_store().kind();
    let value = over_store(ctx, store.as_store(), kind, byte_length, max_byte_length, Some(store), growing.as_ref())?;
    // SAFETY: the call above returned an owned value of this runtime.
    let value = unsafe { Value::from_raw(ctx.clone(), value) };
    Ok(value.into_object().expect("a SharedArrayBuffer is an object"))
}

fn check_released(realm: &Realm) -> Result<(), Error> {
    let released = realm.shared_released.get().unwrap_or_else(|| {
        // SAFETY: the realm's context is alive and belongs to this thread.
        let released = unsafe { layout::is_shared_released(realm.as_ptr()) };
        realm.shared_released.set(Some(released));
        released
    });
    match released {
        true => Ok(()),
        false => Err(Error::Unsupported {
            engine: ENGINE,
            what: "tell when script is done with shared memory in this runtime, which has a function that frees it",
            instead: "use a runtime without `JS_SetSharedArrayBufferFunctions`",
        }),
    }
}

/// Gives the buffer the length of its store, if it is a growable SharedArrayBuffer over a store.
pub(crate) fn see_growth<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>) -> Result<(), Error> {
    match growable(ctx, buffer)? {
        Some((store, byte_length)) if byte_length < store.byte_length() => {
            with_state(ctx, |state| set_byte_length(state.realm(ctx)?, buffer.as_raw(), store.byte_length()))
        }
        _ => Ok(()),
    }
}

/// Grows first the store of the SharedArrayBuffer `buffer`, then the buffer. Returns false if it is not a growable
/// one over a store.
pub(crate) fn grow_store<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>, byte_length: usize) -> Result<bool, Error> {
    let Some((store, _)) = growable(ctx, buffer)? else { return Ok(false) };
    let grown = store.grow(byte_length);
    // Also after a refusal: another thread may have grown the store.
    see_growth(ctx, buffer)?;
    grown?;
    Ok(true)
}

/// The store of a growable SharedArrayBuffer and the buffer's length, if the buffer is over a store.
fn growable<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>) -> Result<Option<(SharedStore, usize)>, Error> {
    if !is_shared(ctx, buffer)? {
        return Ok(None);
    }
    with_state(ctx, |state| {
        if !state.realm(ctx)?.layout_known.get() {
            // If some buffers follow their stores, the layout was known once. `buffer` may be one of them, so it
            // must not grow.
            return match state.own().is_some_and(|own| !own.growing().is_empty()) {
                true => Err(layout_changed()),
                false => Ok(None),
            };
        }
        // SAFETY: I-LAYOUT: a live SharedArrayBuffer, and the layout was probed.
        let fields = unsafe { BufferFields::of(buffer.as_raw()) };
        // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
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

/// Grows the growable SharedArrayBuffer `buffer`, and its views that track its length.
fn set_byte_length(realm: &Realm, buffer: qjs::JSValue, byte_length: usize) -> Result<(), Error> {
    let length = c_int::try_from(byte_length).expect("within the maximum of the buffer");
    let length = qjs::JS_MKVAL(qjs::JS_TAG_INT, length);
    realm.call(realm.grow, buffer, &mut [length]).map(drop)
}

/// Gives every SharedArrayBuffer of the isolate of `own` the length of its store. If that fails because an
/// interrupt handler interrupts it, script sees the lengths that it saw before.
pub(crate) fn see_all_growth(ctx: &Ctx<'_>, own: &Own) {
    let _ = with_state(ctx, |state| {
        let realm = state.realm(ctx)?;
        if !realm.layout_known.get() {
            return Ok(());
        }
        own.growing().each(|buffer| {
            // SAFETY: I-LAYOUT: a live SharedArrayBuffer, and the layout was probed.
            let fields = unsafe { BufferFields::of(buffer) };
            // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
            let fields = unsafe { fields.as_ref() };
            let Some(hold) = hold_of_buffer(fields) else { return Ok(()) };
            let before = fields.byte_length as usize;
            // SAFETY: I-FREE-ONCE: the hold of a live buffer; a buffer over shared memory keeps its hold until it
            // dies.
            let byte_length = unsafe { Hold::with_raw(hold, Hold::byte_length) };
            if byte_length == before {
                return Ok(());
            }
            // SAFETY: adds a reference, which the `Value` frees: an interrupt handler may drop the others.
            let owned = unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), buffer) };
            // SAFETY: the call above returned an owned value of this runtime.
            let _kept = unsafe { Value::from_raw(ctx.clone(), owned) };
            set_byte_length(realm, buffer, byte_length)
        })
    });
}

/// Grows the growable SharedArrayBuffer `buffer` within its maximum, and its store if it is over one.
pub(crate) fn grow_shared<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>, byte_length: usize) -> Result<(), Error> {
    if !grow_store(ctx, buffer, byte_length)? {
        with_state(ctx, |state| set_byte_length(state.realm(ctx)?, buffer.as_raw(), byte_length))?;
    }
    Ok(())
}

/// Lets script of an isolate make growable SharedArrayBuffers. QuickJS allows that only if it has a function that
/// allocates memory for them. `ctx` is the isolate's only context.
pub(crate) fn allow_growable(ctx: &Ctx<'_>) {
    let context = ctx.as_raw().as_ptr();
    unsafe extern "C" fn allocate(opaque: *mut c_void, byte_length: qjs::size_t) -> *mut c_void {
        // SAFETY: the opaque is the isolate's context, whose script asks for the memory; it throws if there is
        // none. QuickJS frees the memory like its own, because no free function is set.
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
    // SAFETY: the runtime is alive and has no SharedArrayBuffer yet; the functions are copied.
    unsafe { qjs::JS_SetSharedArrayBufferFunctions(runtime, &functions) };
}

/// Sets whether script of the runtime of `ctx` may wait in `Atomics.wait`.
pub(crate) fn set_can_block(ctx: &Ctx<'_>, can_block: bool) {
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
    // SAFETY: sets a flag of a live runtime.
    unsafe { qjs::JS_SetCanBlock(runtime, can_block) };
}
