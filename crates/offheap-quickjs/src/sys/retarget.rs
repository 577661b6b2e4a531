//! Externalizing: the store of a buffer, whoever made it.
//!
//! Of a buffer that is over a store, that store. The memory of any other buffer is copied into a new store, once, and the
//! buffer is made to use that: its realloc callback and opaque are set to ours, and QuickJS's own `resize`, called with
//! the length that the buffer has, asks the callback for the memory and updates every view. Script sees no difference.
//!
//! Of shared memory the same is done with QuickJS's `grow`, which asks nobody: the address is set before the call. No
//! other thread has that memory, since QuickJS has no way by which script could send it.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::ptr::NonNull;

use offheap::{BackingStore, Exposed, FrozenStore, SharedStore, UniqueStore};
use rquickjs::{Ctx, Value, qjs};

use super::buffer::store_realloc;
use super::moved::with_hold;
use super::realm::Realm;
use super::state::{State, with_state};
use super::{BufferFields, layout_changed, shared, view_buffer};
use crate::script::caught;
use crate::{ENGINE, Error};

/// A block that a buffer used before it was retargeted, and how to free it.
pub(crate) struct OldBlock {
    runtime: *mut qjs::JSRuntime,
    realloc: qjs::JSReallocArrayBufferDataFunc,
    opaque: *mut c_void,
    data: *mut u8,
}

impl Drop for OldBlock {
    fn drop(&mut self) {
        if let Some(realloc) = self.realloc {
            // SAFETY: I-FREE-ONCE: what the buffer would have done, which does not know this block any more; the runtime
            // lives (`State`).
            unsafe { realloc(self.runtime, self.opaque, self.data.cast(), 0) };
        }
    }
}

/// The store of the buffer that `value` is or is a view of. Of a detached buffer, a new, empty one.
#[track_caller]
pub(crate) fn externalize<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<BackingStore, Error> {
    let buffer = view_buffer(ctx, value)?;
    let (found, isolate) = with_state(ctx, |state| Ok((find_store(ctx, state, &buffer)?, state.isolate())))?;
    let store = match found {
        Found::Detached => return Ok(UniqueStore::zeroed(0)?.into()),
        Found::Store(store) => store,
        Found::Foreign(memory) => {
            let is_growable = memory.is_shared && memory.max_byte_length.is_some();
            let store = memory.into_store()?;
            if is_growable {
                // First, because it may fail: a buffer that is not over a store is passed over.
                shared::keep_up(ctx, &buffer)?;
            }
            with_state(ctx, |state| retarget(ctx, state, &buffer, &store))?;
            store
        }
    };
    store.note_externalized(isolate);
    Ok(store)
}

/// Tells the observer that the ArrayBuffer `buffer` is being detached, where it is over a store.
pub(crate) fn note_detached<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>) -> Result<(), Error> {
    with_state(ctx, |state| {
        if let Ok(realm) = state.realm(ctx)
            && realm.layout_known.get()
            && let Found::Store(store) = find_store(ctx, state, buffer)?
        {
            store.note_detached(state.isolate());
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
            // QuickJS asks for one byte at the least, also where the maximum is 0.
            let mut unique = UniqueStore::resizable(self.byte_length, max_byte_length.max(1))?;
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

pub(super) fn find_store<'js>(ctx: &Ctx<'js>, state: &State, buffer: &Value<'js>) -> Result<Found, Error> {
    if !state.realm(ctx)?.layout_known.get() {
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
    let ours = store_realloc as unsafe extern "C" fn(_, _, _, _) -> _ as usize;
    let swapping = swap_realloc as unsafe extern "C" fn(_, _, _, _) -> _ as usize;
    match (fields.realloc, NonNull::new(fields.opaque)) {
        // QuickJS asked an interrupt handler before it began the `resize` of `swap_memory`.
        (Some(realloc), _) if realloc as usize == swapping => Err(Error::Unsupported {
            engine: ENGINE,
            what: "externalize a buffer from an interrupt handler that interrupts just that",
            instead: "do it after the handler",
        }),
        (Some(realloc), Some(opaque)) if realloc as usize == ours => {
            // SAFETY: I-FREE-ONCE: a buffer of ours that is not detached, so QuickJS has not let go of the hold; while it
            // is doing so the buffer looks the same, and `with_state` refuses (`is_letting_go`).
            let store = unsafe { with_hold(opaque, fields.data, |hold, data| store_of(hold, data, byte_length)) };
            Ok(Found::Store(store))
        }
        (_, opaque) if fields.shared != 0 && !state.realm(ctx)?.is_own_memory(fields.realloc, opaque) => {
            Err(Error::Unsupported {
                engine: ENGINE,
                what: "externalize a SharedArrayBuffer over memory of somebody else, who may share it with others",
                instead: "make it from a `SharedStore`",
            })
        }
        _ => {
            let max_byte_length = fields.is_resizable().then_some(fields.max_byte_length as usize);
            // Elsewhere the writing `Atomics` would still write it.
            let frozen = fields.immutable != 0 && state.roots().is_some();
            Ok(Found::Foreign(ForeignMemory {
                data: fields.data,
                byte_length,
                max_byte_length,
                frozen,
                is_shared: fields.shared != 0,
            }))
        }
    }
}

fn store_of(hold: &Exposed, data: *const u8, byte_length: usize) -> BackingStore {
    if hold.kind() == offheap::StoreKind::Resizable {
        // Shorter, if anything: the callback made room for it. A guard that lives keeps the length for now.
        let _ = hold.resize(byte_length);
    }
    hold.store(data, byte_length)
}

/// Makes `buffer`, which is not over a store, use `store`, which has its bytes.
fn retarget<'js>(ctx: &Ctx<'js>, state: &State, buffer: &Value<'js>, store: &BackingStore) -> Result<(), Error> {
    let realm = state.realm(ctx)?;
    let may_be_cached = realm.is_native_code_waiting();
    if !may_be_cached {
        state.free_old_blocks();
    }
    // Before anything is changed: room for the old block, so that nothing fails once the buffer has moved.
    let mut old_blocks = state.old_blocks.borrow_mut();
    old_blocks.try_reserve(1).map_err(|_| offheap::Error::OutOfMemory { requested: size_of::<OldBlock>() })?;
    drop(old_blocks);
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and `find_store` saw that the layout was probed.
    let fields = unsafe { BufferFields::of(buffer.as_raw()) }.as_ptr();
    let hold = Exposed::new(store, state.isolate())?.into_raw();
    // SAFETY: I-LAYOUT: as above.
    match unsafe { swap_memory(fields, realm, buffer.as_raw(), store, hold) } {
        Ok(old) => {
            if may_be_cached {
                state.old_blocks.borrow_mut().push(old);
            }
            Ok(())
        }
        Err(()) => {
            // SAFETY: I-FREE-ONCE: the buffer did not take the hold.
            drop(unsafe { Exposed::from_raw(hold) });
            Err(caught(ctx))
        }
    }
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
    // SAFETY: the `Swap` of `swap_memory`, which is in the middle of its call: nothing else leads to this buffer's
    // callback until then, since `find_store` refuses the buffer and QuickJS keeps it alive.
    let swap = unsafe { &mut *opaque.cast::<Swap>() };
    debug_assert_eq!(swap.from, data.cast());
    swap.asked = true;
    swap.to.cast()
}

/// Makes the buffer use the memory of `store`, for which it takes `hold`. On failure nothing has changed, and an
/// exception is pending.
///
/// # Safety
/// `fields` are those of the live ArrayBuffer `buffer`, which is not detached; `store` has its length and its maximum.
unsafe fn swap_memory(
    fields: *mut BufferFields,
    realm: &Realm,
    buffer: qjs::JSValue,
    store: &BackingStore,
    hold: NonNull<c_void>,
) -> Result<OldBlock, ()> {
    // SAFETY: I-LAYOUT: the caller's promise.
    let old = unsafe { fields.read() };
    let is_shared = old.shared != 0;
    let mut swap = Swap { from: old.data, to: store.as_ptr().cast(), asked: false };
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
    let mut length = qjs::JS_MKVAL(qjs::JS_TAG_INT, old.byte_length);
    let resize = if is_shared { realm.grow } else { realm.resize };
    // SAFETY: QuickJS's own function, on a buffer that allows it, with an integer: it runs no user code.
    let result = unsafe { qjs::JS_Call(realm.as_ptr(), resize, buffer, 1, &mut length) };
    // SAFETY: looks at the tag alone. An exception here is a stack overflow or an interrupt, before the call began.
    let failed = unsafe { qjs::JS_IsException(result) };
    let after = if failed {
        BufferFields { ..old }
    } else {
        assert!(swap.asked != is_shared, "resize asks for memory, and grow does not");
        BufferFields { opaque: hold.as_ptr(), realloc: Some(store_realloc), data: swap.to, ..old }
    };
    // SAFETY: I-LAYOUT: as above.
    unsafe { set_owner_fields(fields, &after) };
    if failed {
        return Err(());
    }
    // SAFETY: I-LAYOUT: as above.
    assert_eq!(unsafe { (*fields).data }, swap.to, "resize uses the memory that it was given");
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(realm.as_ptr()) };
    Ok(OldBlock { runtime, realloc: old.realloc, opaque: old.opaque, data: old.data })
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

/// From now on the runtime of `ctx` is taken for one whose layout is not known. There is no way back.
pub(crate) fn pretend_layout_changed(ctx: &Ctx<'_>) -> Result<(), Error> {
    with_state(ctx, |state| {
        state.realm(ctx)?.layout_known.set(false);
        Ok(())
    })
}
