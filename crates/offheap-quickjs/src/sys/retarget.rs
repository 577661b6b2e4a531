//! Externalizing: the store of a buffer, whoever made it.
//!
//! Of a buffer that is over a store, that store. The memory of any other buffer is copied into a new store, once, and the
//! buffer is made to use that: its realloc callback and opaque are set to ours, and QuickJS's own `resize`, called with
//! the length that the buffer has, asks the callback for the memory and updates every view. Script sees no difference.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use bytemuck::NoUninit;
use offheap::{BackingStore, Bytes, BytesMut, Cells, Exposed, UniqueStore};
use rquickjs::{Ctx, Value, qjs};

use super::buffer::{store_realloc, with_hold};
use super::state::{self, State, with_state};
use super::{BufferFields, view_buffer};
use crate::script::caught;
use crate::{BufferState, ENGINE, Error, QUICKJS_VERSION};

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
        Found::Foreign { byte_length, max_byte_length } => {
            let store = new_store(byte_length, max_byte_length)?;
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
        if state.realm(ctx)?.layout_known
            && let Found::Store(store) = find_store(ctx, state, buffer)?
        {
            store.note_detached(state.isolate());
        }
        Ok(())
    })
}

enum Found {
    Detached,
    Store(BackingStore),
    Foreign { byte_length: usize, max_byte_length: Option<usize> },
}

fn find_store<'js>(ctx: &Ctx<'js>, state: &State, buffer: &Value<'js>) -> Result<Found, Error> {
    if !state.realm(ctx)?.layout_known {
        return Err(Error::LayoutChanged { engine: ENGINE, version: QUICKJS_VERSION.to_owned() });
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
    match (fields.realloc, NonNull::new(fields.opaque)) {
        (Some(realloc), Some(opaque)) if realloc as usize == ours => {
            // SAFETY: I-FREE-ONCE: a buffer of ours that is not detached, so QuickJS has not let go of the hold.
            let store = unsafe { with_hold(opaque, fields.data, |hold| store_of(hold, fields.data, byte_length)) };
            Ok(Found::Store(store))
        }
        _ => {
            let max_byte_length = fields.is_resizable().then_some(fields.max_byte_length as usize);
            Ok(Found::Foreign { byte_length, max_byte_length })
        }
    }
}

fn store_of(hold: &Exposed, data: *mut u8, byte_length: usize) -> BackingStore {
    if hold.kind() == offheap::StoreKind::Resizable {
        // Shorter, if anything: the callback made room for it. A guard that lives keeps the length for now.
        let _ = hold.resize(byte_length);
    }
    hold.store(data, byte_length)
}

#[track_caller]
fn new_store(byte_length: usize, max_byte_length: Option<usize>) -> Result<BackingStore, Error> {
    match max_byte_length {
        Some(max_byte_length) => Ok(BackingStore::for_resizable_buffer(byte_length, max_byte_length)?),
        None => Ok(UniqueStore::zeroed(byte_length)?.into()),
    }
}

/// Copies the bytes of `buffer`, which is not over a store, into `store`, and makes the buffer use that.
fn retarget<'js>(ctx: &Ctx<'js>, state: &State, buffer: &Value<'js>, store: &BackingStore) -> Result<(), Error> {
    let realm = state.realm(ctx)?;
    // Before anything is changed: room for the old block, so that nothing fails once the buffer has moved.
    let stack_is_empty = realm.stack().is_empty();
    if stack_is_empty {
        drop(state.old_blocks.take());
    }
    let mut old_blocks = state.old_blocks.borrow_mut();
    old_blocks.try_reserve(1).map_err(|_| offheap::Error::OutOfMemory { requested: size_of::<OldBlock>() })?;
    drop(old_blocks);
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and `find_store` saw that the layout was probed.
    let fields = unsafe { BufferFields::of(buffer.as_raw()) }.as_ptr();
    // SAFETY: I-BORROW: the buffer's memory, of its length; script does not run during the call.
    let from = unsafe { std::slice::from_raw_parts((*fields).data, store.byte_length()) };
    // SAFETY: I-BORROW: script of this isolate does not run during the call, on any thread.
    unsafe { store.copy_from_slice_in(state.isolate(), 0, from) }?;
    let hold = Exposed::new(store, state.isolate())?.into_raw();
    // SAFETY: I-LAYOUT: as above.
    match unsafe { swap_memory(fields, realm.as_ptr(), realm.resize, buffer.as_raw(), store, hold) } {
        Ok(old) => {
            if stack_is_empty {
                drop(old);
            } else {
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
    // SAFETY: the `Swap` of the call to `resize` that this is part of, on this thread.
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
    realm: *mut qjs::JSContext,
    resize: qjs::JSValue,
    buffer: qjs::JSValue,
    store: &BackingStore,
    hold: NonNull<c_void>,
) -> Result<OldBlock, ()> {
    // SAFETY: I-LAYOUT: the caller's promise.
    let old = unsafe { fields.read() };
    let mut swap = Swap { from: old.data, to: store.as_ptr().cast(), asked: false };
    let during = BufferFields {
        immutable: 0,
        max_byte_length: if old.is_resizable() { old.max_byte_length } else { old.byte_length },
        opaque: (&raw mut swap).cast(),
        realloc: Some(swap_realloc),
        ..old
    };
    // SAFETY: I-LAYOUT: as above; these are all the fields that differ.
    unsafe { set_owner_fields(fields, &during) };
    let mut length = qjs::JS_MKVAL(qjs::JS_TAG_INT, old.byte_length);
    // SAFETY: QuickJS's own function, on a buffer that allows it, with an integer: it runs no user code.
    let result = unsafe { qjs::JS_Call(realm, resize, buffer, 1, &mut length) };
    // SAFETY: looks at the tag alone. An exception here is a stack overflow or an interrupt, before the call began.
    let failed = unsafe { qjs::JS_IsException(result) };
    let after = if failed {
        BufferFields { ..old }
    } else {
        assert!(swap.asked, "resize asks for memory");
        BufferFields { opaque: hold.as_ptr(), realloc: Some(store_realloc), ..old }
    };
    // SAFETY: I-LAYOUT: as above.
    unsafe { set_owner_fields(fields, &after) };
    if failed {
        return Err(());
    }
    // SAFETY: I-LAYOUT: as above.
    assert_eq!(unsafe { (*fields).data }, swap.to, "resize uses the memory that it was given");
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(realm) };
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
}

/// The bytes of `store` to read; `scope` is borrowed for as long as the guard lives, and script runs through it alone.
pub(crate) fn bytes<'a, S>(ctx: &Ctx<'_>, store: &BackingStore, scope: &'a S) -> Result<Bytes<'a>, Error> {
    let isolate = state::isolate_id(ctx)?;
    let _: &'a S = scope;
    // SAFETY: I-BORROW: running script takes `&mut` of the scope.
    Ok(unsafe { store.bytes_in(isolate) }?)
}

/// The bytes of `store` to write; as for [`bytes`].
pub(crate) fn bytes_mut<'a, S>(ctx: &Ctx<'_>, store: &BackingStore, scope: &'a mut S) -> Result<BytesMut<'a>, Error> {
    let isolate = state::isolate_id(ctx)?;
    let _: &'a mut S = scope;
    // SAFETY: I-BORROW: running script takes `&mut` of the scope.
    Ok(unsafe { store.bytes_mut_in(isolate) }?)
}

/// The bytes of `store` as cells.
pub(crate) fn cells<'a>(ctx: &'a Ctx<'_>, store: &'a BackingStore) -> Result<Cells<'a>, Error> {
    let isolate = state::isolate_id(ctx)?;
    // SAFETY: I-BORROW: `ctx` shows that this thread has the runtime, and the guard borrows it and stays on the thread.
    Ok(unsafe { store.cells_in(isolate) }?)
}

/// Copies `from` into `store`.
pub(crate) fn copy_in<T: NoUninit>(
    ctx: &Ctx<'_>,
    store: &BackingStore,
    byte_offset: usize,
    from: &[T],
) -> Result<(), Error> {
    let isolate = state::isolate_id(ctx)?;
    // SAFETY: I-BORROW: `ctx` shows that this thread has the runtime, so no other runs its script.
    Ok(unsafe { store.copy_from_slice_in(isolate, byte_offset, bytemuck::cast_slice(from)) }?)
}

/// What script sees of the ArrayBuffer `buffer`.
pub(crate) fn state_of(ctx: &Ctx<'_>, buffer: &Value<'_>) -> Result<BufferState, Error> {
    with_state(ctx, |state| {
        if !state.realm(ctx)?.layout_known {
            return Err(Error::LayoutChanged { engine: ENGINE, version: QUICKJS_VERSION.to_owned() });
        }
        // SAFETY: I-LAYOUT: a live ArrayBuffer, and the layout was probed.
        let fields = unsafe { BufferFields::of(buffer.as_raw()) };
        // SAFETY: I-LAYOUT: nothing of QuickJS runs while this reference lives.
        let fields = unsafe { fields.as_ref() };
        let resizable = fields.is_resizable();
        let byte_length = fields.byte_length as usize;
        let detached = fields.detached != 0;
        let max_byte_length = match (detached, resizable) {
            (true, _) => 0,
            (false, true) => fields.max_byte_length as usize,
            (false, false) => byte_length,
        };
        Ok(BufferState { byte_length, max_byte_length, detached, resizable, immutable: fields.immutable != 0 })
    })
}

/// Resizes the resizable ArrayBuffer `buffer`, which is not detached, within its maximum.
pub(crate) fn resize<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>, byte_length: usize) -> Result<(), Error> {
    with_state(ctx, |state| {
        let realm = state.realm(ctx)?;
        let length = i32::try_from(byte_length).expect("checked against the maximum");
        let mut length = qjs::JS_MKVAL(qjs::JS_TAG_INT, length);
        // SAFETY: QuickJS's own function, called with an integer: it runs no user code.
        let result = unsafe { qjs::JS_Call(realm.as_ptr(), realm.resize, buffer.as_raw(), 1, &mut length) };
        realm.checked(result)?;
        // The callback is asked for one byte at the least: finding the store publishes the length as it is.
        find_store(ctx, state, buffer).map(drop)
    })
}
