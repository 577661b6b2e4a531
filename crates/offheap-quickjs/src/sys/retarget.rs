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
use std::ops::Range;
use std::ptr::NonNull;

use offheap::adapter::{self, Hold};
use offheap::{BackingStore, FrozenStore, SharedStore, UniqueStore};
use rquickjs::{Ctx, Value, qjs};

use super::buffer::store_realloc;
use super::growing::{growing_realloc, hold_of};
use super::middle::{NoCollection, in_call};
use super::moved::with_hold;
use super::realm::Realm;
use super::state::{State, with_state};
use super::{BufferFields, is_buffer, layout_changed, view_buffer};
use crate::{ENGINE, Error};

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

pub(super) enum Found {
    /// It is detached.
    Detached,
    /// It is over this store.
    Store(BackingStore),
    /// It is over other memory.
    Foreign(ForeignMemory),
}

/// The memory of a buffer that is not over a store.
pub(super) struct ForeignMemory {
    data: *const u8,
    byte_length: usize,
    max_byte_length: Option<usize>,
    /// Whether nothing in this runtime writes it any more.
    frozen: bool,
    is_shared: bool,
}

impl ForeignMemory {
    /// A copy of these bytes of it. No script ran since the buffer was looked at.
    pub(super) fn copy(&self, range: Range<usize>) -> Result<Vec<u8>, Error> {
        // SAFETY: I-BORROW: the buffer's memory, of its length; script does not run during the call.
        let from = unsafe { std::slice::from_raw_parts(self.data, self.byte_length) };
        let requested = range.len();
        let mut copy = Vec::new();
        copy.try_reserve_exact(requested).map_err(|_| offheap::Error::OutOfMemory { requested })?;
        copy.extend_from_slice(&from[range]);
        Ok(copy)
    }

    /// A store with these bytes. No script ran since the buffer was looked at.
    #[track_caller]
    fn into_store(self) -> Result<BackingStore, Error> {
        // SAFETY: I-BORROW: the buffer's memory, of its length; script does not run during the call.
        let from = unsafe { std::slice::from_raw_parts(self.data, self.byte_length) };
        if self.is_shared {
            let store = match self.max_byte_length {
                Some(max_byte_length) => SharedStore::growable(self.byte_length, max_byte_length)?,
                None => SharedStore::zeroed(self.byte_length)?,
            };
            store.copy_from_slice(0, from)?;
            return Ok(store.into());
        }
        if let Some(max_byte_length) = self.max_byte_length {
            let mut unique = UniqueStore::resizable(self.byte_length, max_byte_length)?;
            unique.copy_from_slice(from);
            return Ok(unique.into());
        }
        let unique = UniqueStore::filled(self.byte_length, |bytes| bytes.copy_from_slice(from))?;
        match self.frozen {
            true => Ok(FrozenStore::from_owner(unique)?.into()),
            false => Ok(unique.into()),
        }
    }
}

/// The hold that a buffer with these fields has on a store, as a pointer; `None` where it is over other memory.
pub(super) fn hold_of_buffer(fields: &BufferFields) -> Option<NonNull<c_void>> {
    let realloc = fields.realloc? as usize;
    let opaque = NonNull::new(fields.opaque)?;
    if realloc == store_realloc as unsafe extern "C" fn(_, _, _, _) -> _ as usize {
        return Some(opaque);
    }
    if realloc == growing_realloc as unsafe extern "C" fn(_, _, _, _) -> _ as usize {
        // SAFETY: I-FREE-ONCE: a buffer with this callback that has not let go of its memory, or it would have none.
        return Some(unsafe { hold_of(opaque) });
    }
    None
}

pub(super) fn find_store<'js>(ctx: &Ctx<'js>, state: &State, buffer: &Value<'js>) -> Result<Found, Error> {
    let realm = state.realm(ctx)?;
    if !realm.layout_known.get() {
        return Err(layout_changed());
    }
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and the layout was probed.
    let fields = unsafe { BufferFields::of(buffer.as_raw()) };
    // SAFETY: I-LAYOUT: nothing of QuickJS runs while this reference lives.
    let fields = unsafe { fields.as_ref() };
    if fields.detached != 0 {
        return Ok(Found::Detached);
    }
    let byte_length = fields.byte_length as usize;
    if let Some(hold) = hold_of_buffer(fields) {
        // SAFETY: I-FREE-ONCE: a buffer of ours that is not detached, so QuickJS has not let go of the hold; while it is
        // doing so the buffer looks the same, and `with_state` refuses (`in_finalizer`).
        let store = unsafe { with_hold(hold, fields.data, |hold, data| store_of(hold, data, byte_length)) };
        return Ok(Found::Store(store));
    }
    if fields.shared != 0 && !realm.is_own_memory(fields.realloc, NonNull::new(fields.opaque)) {
        return Err(Error::Unsupported {
            engine: ENGINE,
            what: "externalize a SharedArrayBuffer over memory of somebody else, who may share it with others",
            instead: "make it from a `SharedStore`",
        });
    }
    let in_isolate = state.own().is_some();
    // QuickJS's own `resize` asks for one byte at least. An isolate's does not ask where the maximum is 0.
    let least = usize::from(!in_isolate && fields.shared == 0);
    let max_byte_length = fields.is_resizable().then(|| least.max(fields.max_byte_length as usize));
    Ok(Found::Foreign(ForeignMemory {
        data: fields.data,
        byte_length,
        max_byte_length,
        // Elsewhere the writing `Atomics` would still write it.
        frozen: fields.immutable != 0 && in_isolate,
        is_shared: fields.shared != 0,
    }))
}

fn store_of(hold: &Hold, data: *const u8, byte_length: usize) -> BackingStore {
    if hold.kind().is_resizable_by_rust() {
        // Shorter, if anything: the callback made room for it. A guard that lives keeps the length for now.
        let _ = hold.resize(byte_length);
    }
    hold.store(data, byte_length)
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
