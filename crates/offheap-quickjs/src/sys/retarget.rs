//! Externalizing: the store of a buffer, whoever made it.
//!
//! Of a buffer that is over a store, that store. The memory of any other buffer is copied into a new store, once, and the
//! buffer is made to use that: its realloc callback and opaque are set to ours, and QuickJS's own `resize`, called with
//! the length that the buffer has, asks the callback for the memory and updates every view. Script sees no difference.
//!
//! Of shared memory the same is done with QuickJS's `grow`, which asks nobody: the address is set before the call. No
//! other thread has that memory, since QuickJS has no way by which script could send it.
//!
//! The memory that the buffer had before is freed at once, as it would be by script that detaches the buffer: no function of
//! QuickJS keeps an address of it over a call of script's (0.16.2; `tests/reentrant.rs` has them all).

use std::ffi::{c_int, c_void};

use offheap::adapter::{self, Hold};
use offheap::{BackingStore, UniqueStore};
use rquickjs::{Ctx, Value, qjs};

use super::callback::store_realloc;
use super::found::{Found, find_store};
use super::growing::growing_realloc;
use super::layout::BufferFields;
use super::middle::{NoCollection, in_call};
use super::realm::Realm;
use super::sort::{is_buffer, view_buffer};
use super::state::{State, with_state};
use crate::Error;

/// Memory of a buffer, with the callback that is asked to free it.
struct Memory {
    data: *mut u8,
    opaque: *mut c_void,
    realloc: qjs::JSReallocArrayBufferDataFunc,
}

/// What a buffer used before it was retargeted. It does not leave the call that made it.
struct OldMemory {
    runtime: *mut qjs::JSRuntime,
    memory: Memory,
}

impl Drop for OldMemory {
    fn drop(&mut self) {
        let Memory { data, opaque, realloc } = self.memory;
        if let Some(realloc) = realloc {
            // SAFETY: I-FREE-ONCE: what the buffer would have done, which does not know this memory any more; the runtime
            // lives.
            unsafe { realloc(self.runtime, opaque, data.cast(), 0) };
        }
    }
}

/// The store of the buffer that `value` is or is a view of. Of a detached buffer, a new, empty one. With `is_in_call` QuickJS
/// may be at anything, also at letting go of this buffer's memory: then nothing is moved.
#[track_caller]
pub(crate) fn externalize<'js>(ctx: &Ctx<'js>, value: &Value<'js>, is_in_call: bool) -> Result<BackingStore, Error> {
    // A collection may be taking references out of the counts: one more to a view's buffer, given back, would free it.
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
            // It would run code of others, which may be about this buffer.
            let _no_collection = NoCollection::begin(ctx.as_raw());
            let store = memory.into_store()?;
            let old = with_state(ctx, |state| retarget(ctx, state, &buffer, &store))?;
            (store, Some(old))
        }
    };
    adapter::note_externalized(&store, isolate);
    Ok(store)
}

/// Tells the observer that the ArrayBuffer `buffer` is being detached, where it is over a store.
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

/// Makes `buffer`, which is not over a store, use `store`, which has its bytes; what it used before is the result.
fn retarget<'js>(ctx: &Ctx<'js>, state: &State, buffer: &Value<'js>, store: &BackingStore) -> Result<OldMemory, Error> {
    let realm = state.realm(ctx)?;
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and `find_store` saw that the layout was probed.
    let fields = unsafe { BufferFields::of(buffer.as_raw()) }.as_ptr();
    // SAFETY: I-LAYOUT: as above.
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
        // SAFETY: I-LAYOUT: as above; the store has the buffer's length and maximum.
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

/// What stands in for callback and opaque while QuickJS's `resize` runs.
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
    // SAFETY: the `Swap` of `swap_memory`, which is in the middle of its call: only that asks this callback. An interrupt
    // handler, which QuickJS asks before it begins, has no more than a handle, for which nothing is moved now.
    let swap = unsafe { &mut *opaque.cast::<Swap>() };
    debug_assert_eq!(swap.from, data.cast());
    swap.asked = true;
    swap.to.cast()
}

/// Makes the buffer use the memory `to`; what it used before is the result. On failure nothing has changed.
///
/// # Safety
/// `fields` are those of the live ArrayBuffer `buffer`, which is not detached; the memory has its length and its maximum.
unsafe fn swap_memory(
    fields: *mut BufferFields,
    realm: &Realm,
    buffer: qjs::JSValue,
    to: Memory,
) -> Result<OldMemory, Error> {
    // SAFETY: I-LAYOUT: the caller's promise.
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
    // SAFETY: I-LAYOUT: as above; these are all the fields that differ.
    unsafe { set_owner_fields(fields, &during) };
    let mut length = [qjs::JS_MKVAL(qjs::JS_TAG_INT, old.byte_length)];
    let resize = if is_shared { realm.grow } else { realm.resize };
    // It runs no user code. It fails where the stack is at its end, and where the handler interrupts, before it began.
    let resized = realm.call(resize, buffer, &mut length);
    let after = match &resized {
        Err(_) => BufferFields { ..old },
        Ok(_) => {
            assert!(swap.asked != is_shared, "resize asks for memory, and grow does not");
            BufferFields { data: to.data, opaque: to.opaque, realloc: to.realloc, ..old }
        }
    };
    // SAFETY: I-LAYOUT: as above.
    unsafe { set_owner_fields(fields, &after) };
    resized?;
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(realm.as_ptr()) };
    Ok(OldMemory { runtime, memory: Memory { data: old.data, opaque: old.opaque, realloc: old.realloc } })
}

/// # Safety
/// `fields` are those of a live ArrayBuffer.
unsafe fn set_owner_fields(fields: *mut BufferFields, values: &BufferFields) {
    // SAFETY: I-LAYOUT: the caller's promise.
    let fields = unsafe { &mut *fields };
    fields.immutable = values.immutable;
    fields.max_byte_length = values.max_byte_length as c_int;
    fields.opaque = values.opaque;
    fields.realloc = values.realloc;
    fields.data = values.data;
}

/// Makes the adapter treat the runtime of `ctx` as one whose layout it does not know, for good.
#[cfg(test)]
pub(crate) fn pretend_layout_changed(ctx: &Ctx<'_>) -> Result<(), Error> {
    with_state(ctx, |state| {
        state.realm(ctx)?.layout_known.set(false);
        Ok(())
    })
}
