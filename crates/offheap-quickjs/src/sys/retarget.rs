//! Externalizing: finds the store of a buffer, or makes one.
//!
//! If a buffer is over a store, that is the result. Otherwise its memory becomes that of a store where it is, if that
//! is possible (`take`). If not, the memory is copied into a new store once, and the buffer is made to use it: its
//! realloc callback and opaque are set to ours, and QuickJS's own `resize` is called with the buffer's current length.
//! It asks the callback for the memory and updates every view. Script sees no difference.
//!
//! Shared memory is handled in the same way with QuickJS's `grow`. It calls no callback, so the address is set
//! before the call. No other thread has that memory, because script of QuickJS cannot send it.
//!
//! The memory that the buffer had before is freed at once, as if script had detached the buffer. No function of
//! QuickJS keeps an address of it across a call of script (0.16.2; `tests/reentrant.rs` tests all of them).

use std::ffi::{c_int, c_void};

use offheap::adapter::{self, Hold};
use offheap::{BackingStore, Site, UniqueStore};
use rquickjs::{Ctx, Value, qjs};

use super::callback::store_realloc;
use super::found::{Found, find_existing, find_store};
use super::growing::growing_realloc;
use super::layout::BufferFields;
use super::middle::{NoCollection, in_call};
use super::realm::Realm;
use super::sort::{is_buffer, view_buffer};
use super::state::{State, with_script_stack, with_state};
use super::take::take;
use crate::Error;

/// The memory of a buffer, with the callback that frees it.
struct Memory {
    data: *mut u8,
    opaque: *mut c_void,
    realloc: qjs::JSReallocArrayBufferDataFunc,
}

/// The memory that a buffer used before it was retargeted. It does not leave the call that made it.
struct OldMemory {
    runtime: *mut qjs::JSRuntime,
    memory: Memory,
}

impl Drop for OldMemory {
    fn drop(&mut self) {
        let Memory { data, opaque, realloc } = self.memory;
        if let Some(realloc) = realloc {
            // SAFETY: I-FREE-ONCE: the buffer would have made this call, and no longer has this memory; the runtime
            // is alive.
            unsafe { realloc(self.runtime, opaque, data.cast(), 0) };
        }
    }
}

/// The store of the buffer or view `value`; a new, empty store if the buffer is detached. With `is_in_call`,
/// QuickJS may be doing anything, even freeing this buffer's memory, so nothing is moved.
#[track_caller]
#[inline]
pub(crate) fn externalize<'js>(ctx: &Ctx<'js>, value: &Value<'js>, is_in_call: bool) -> Result<BackingStore, Error> {
    match find_existing(value.as_raw()) {
        Some(store) => Ok(store),
        None => find_or_make(ctx, value, is_in_call),
    }
}

#[track_caller]
#[inline(never)]
fn find_or_make<'js>(ctx: &Ctx<'js>, value: &Value<'js>, is_in_call: bool) -> Result<BackingStore, Error> {
    // A collection may have subtracted references from the counts. Taking and dropping a reference to a view's
    // buffer would then free it.
    if is_in_call && !is_buffer(ctx, value)? {
        return Err(in_call());
    }
    let buffer = view_buffer(ctx, value)?;
    let (found, isolate) = with_state(ctx, |state| Ok((find_store(ctx, state, &buffer)?, state.isolate())))?;
    let (store, _old) = match found {
        Found::Detached => return Ok(UniqueStore::zeroed(0)?.into()),
        Found::Store(store) => (store, None),
        Found::Foreign(_) if is_in_call => return Err(in_call()),
        Found::Foreign(memory) => {
            with_state(ctx, |state| state.check_not_freeing(ctx))?;
            let _script = with_script_stack(ctx, adapter::wants_script_stack(memory.byte_length()));
            // A collection would run foreign code, which may use this buffer.
            let _no_collection = NoCollection::begin(ctx.as_raw());
            let site = Site::here();
            match with_state(ctx, |state| take(ctx, state, &buffer, site))? {
                Some(store) => (store, None),
                None => {
                    let store = memory.into_store()?;
                    let old = with_state(ctx, |state| retarget(ctx, state, &buffer, &store))?;
                    (store, Some(old))
                }
            }
        }
    };
    adapter::note_externalized(&store, isolate);
    Ok(store)
}

/// Tells the observer that the ArrayBuffer `buffer` is being detached, if it is over a store.
pub(crate) fn note_detached<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>) -> Result<(), Error> {
    with_state(ctx, |state| {
        if let Ok(realm) = state.realm(ctx)
            && realm.layout_known.get()
            && let Found::Store(store) = find_store(ctx, state, buffer)?
        {
            adapter::note_detached(&store, state.isolate());
        }
        Ok(())
    })
}

/// Makes `buffer`, which is not over a store, use `store`, which has its bytes. Returns the memory that it used
/// before.
fn retarget<'js>(ctx: &Ctx<'js>, state: &State, buffer: &Value<'js>, store: &BackingStore) -> Result<OldMemory, Error> {
    let realm = state.realm(ctx)?;
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and `find_store` checked that the layout was probed.
    let fields = unsafe { BufferFields::of(buffer.as_raw()) }.as_ptr();
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and `find_store` checked that the layout was probed.
    let before = unsafe { fields.read() };
    let is_growing = before.shared != 0 && before.is_resizable();
    let hold = Hold::new(store, state.isolate())?.into_raw();
    let retargeted = (|| {
        let entry = match state.own().filter(|_| is_growing) {
            Some(own) => Some(own.growing().new_entry(hold)?),
            None => None,
        };
        let data = store.as_ptr().cast();
        let to = match &entry {
            Some(entry) => Memory { data, opaque: entry.as_opaque().as_ptr(), realloc: Some(growing_realloc) },
            None => Memory { data, opaque: hold.as_ptr(), realloc: Some(store_realloc) },
        };
        // SAFETY: I-LAYOUT: a live ArrayBuffer that is not detached; the store has the buffer's length and maximum.
        let old = unsafe { swap_memory(fields, realm, buffer.as_raw(), to) }?;
        if let Some(entry) = entry {
            entry.made(buffer.as_raw());
        }
        Ok(old)
    })();
    if retargeted.is_err() {
        // SAFETY: I-FREE-ONCE: the buffer did not take the hold.
        drop(unsafe { Hold::from_raw(hold) });
    }
    retargeted
}

/// The opaque of the temporary callback, while QuickJS's `resize` runs.
struct Swap {
    from: *mut u8,
    to: *mut u8,
    asked: bool,
}

unsafe extern "C" fn swap_realloc(
    _rt: *mut qjs::JSRuntime,
    opaque: *mut c_void,
    data: *mut c_void,
    _size: qjs::size_t,
) -> *mut c_void {
    // SAFETY: the opaque is the `Swap` of `swap_memory`, whose call is running: only that call uses this callback.
    // An interrupt handler, which QuickJS calls before it begins, has no more than a handle, and nothing is moved
    // for a handle now.
    let swap = unsafe { &mut *opaque.cast::<Swap>() };
    debug_assert_eq!(swap.from, data.cast());
    swap.asked = true;
    swap.to.cast()
}

/// Makes the buffer use the memory `to`. Returns the memory that it used before. A failure changes nothing.
///
/// # Safety
/// `fields` are those of the live ArrayBuffer `buffer`, which is not detached; the memory `to` has the buffer's
/// length and maximum.
unsafe fn swap_memory(
    fields: *mut BufferFields,
    realm: &Realm,
    buffer: qjs::JSValue,
    to: Memory,
) -> Result<OldMemory, Error> {
    // SAFETY: I-LAYOUT: the caller promises that the buffer is alive.
    let old = unsafe { fields.read() };
    let is_shared = old.shared != 0;
    let mut swap = Swap { from: old.data, to: to.data, asked: false };
    let during = BufferFields {
        immutable: 0,
        max_byte_length: if old.is_resizable() { old.max_byte_length } else { old.byte_length },
        opaque: (&raw mut swap).cast(),
        realloc: Some(swap_realloc),
        data: if is_shared { swap.to } else { old.data },
        ..old
    };
    // SAFETY: I-LAYOUT: the caller promises that the buffer is alive; these are all the fields that differ.
    unsafe { set_owner_fields(fields, &during) };
    let mut length = [qjs::JS_MKVAL(qjs::JS_TAG_INT, old.byte_length)];
    let resize = if is_shared { realm.grow } else { realm.resize };
    // This runs no user code. It fails only before it has begun: if the stack is full, or if the handler
    // interrupts.
    let resized = realm.call(resize, buffer, &mut length);
    let after = match &resized {
        Err(_) => BufferFields { ..old },
        Ok(_) => {
            assert!(swap.asked != is_shared, "resize asks for memory, and grow does not");
            BufferFields { data: to.data, opaque: to.opaque, realloc: to.realloc, ..old }
        }
    };
    // SAFETY: I-LAYOUT: the caller promises that the buffer is alive.
    unsafe { set_owner_fields(fields, &after) };
    resized?;
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(realm.as_ptr()) };
    Ok(OldMemory { runtime, memory: Memory { data: old.data, opaque: old.opaque, realloc: old.realloc } })
}

/// # Safety
/// `fields` are those of a live ArrayBuffer.
unsafe fn set_owner_fields(fields: *mut BufferFields, values: &BufferFields) {
    // SAFETY: I-LAYOUT: the caller promises that the buffer is alive.
    let fields = unsafe { &mut *fields };
    fields.immutable = values.immutable;
    fields.max_byte_length = values.max_byte_length as c_int;
    fields.opaque = values.opaque;
    fields.realloc = values.realloc;
    fields.data = values.data;
}

/// Makes the adapter treat the layout of the runtime of `ctx` as unknown from now on.
#[cfg(test)]
pub(crate) fn pretend_layout_changed(ctx: &Ctx<'_>) -> Result<(), Error> {
    super::layout::pretend_change();
    with_state(ctx, |state| {
        state.realm(ctx)?.layout_known.set(false);
        Ok(())
    })
}
