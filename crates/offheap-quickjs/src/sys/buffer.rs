//! Makes buffers over stores.

use std::mem::ManuallyDrop;
use std::ptr;
use std::rc::Rc;

use offheap::adapter::{self, Hold};
use offheap::{BackingStore, FrozenStore, IsolateId, Length, SharedStore, StoreKind, UniqueStore};
use offheap_engine::check_aligned;
use rquickjs::{ArrayBuffer, Ctx, Value, qjs};

use super::callback::store_realloc;
use super::growing::{Growing, growing_realloc};
use super::layout::BufferFields;
use super::state::{self, with_state};
use crate::script::caught;
use crate::{ENGINE, Error};

/// The maximum length of one buffer of QuickJS in bytes: its lengths are `int`s.
pub(crate) const MAX_BYTE_LENGTH: usize = i32::MAX as usize;

/// An ArrayBuffer over the bytes of `store`, without a copy.
#[inline]
pub(crate) fn expose<'js>(ctx: &Ctx<'js>, store: &BackingStore) -> Result<ArrayBuffer<'js>, Error> {
    let value = match store.kind() {
        // A copy of the function without what the other kinds need.
        StoreKind::FIXED => over_store(ctx, store, StoreKind::FIXED, store.byte_length(), None, None, None)?,
        kind => over_other(ctx, store, kind)?,
    };
    // SAFETY: the call above made the value, and nothing else uses it.
    Ok(unsafe { made(ctx, value) })
}

#[inline(never)]
fn over_other(ctx: &Ctx<'_>, store: &BackingStore, kind: StoreKind) -> Result<qjs::JSValue, Error> {
    if kind.is_shared() {
        let what = "make an ArrayBuffer over shared memory";
        let instead = "make a SharedArrayBuffer: `SharedStoreExt::expose`, of `SharedStore::try_from(store)`";
        return Err(Error::Unsupported { engine: ENGINE, what, instead });
    }
    let max_byte_length = kind.is_resizable_by_rust().then(|| store.max_byte_length());
    over_store(ctx, store, kind, store.byte_length(), max_byte_length, None, None)
}

/// A buffer of this length over `store`, which has this kind. With `max_byte_length`, the buffer can grow up to that. If the memory is
/// shared, `shared` is the store, and the buffer is a SharedArrayBuffer. With `growing`, the buffer is in that list
/// and follows the length of its store.
#[inline(always)]
pub(super) fn over_store(
    ctx: &Ctx<'_>,
    store: &BackingStore,
    kind: StoreKind,
    byte_length: usize,
    max_byte_length: Option<usize>,
    shared: Option<&SharedStore>,
    growing: Option<&Rc<Growing>>,
) -> Result<qjs::JSValue, Error> {
    // First, since it calls QuickJS.
    let isolate = state::isolate_id(ctx)?;
    // QuickJS has the same limit for the maximum of a resizable buffer.
    let most = max_byte_length.unwrap_or(byte_length);
    if most > MAX_BYTE_LENGTH {
        let (store, limit) = (Some(store.id()), MAX_BYTE_LENGTH);
        return Err(Error::TooLargeForEngine { engine: ENGINE, store, byte_length: most, limit });
    }
    let data: *mut u8 = store.as_ptr().cast();
    check_aligned(ENGINE, store)?;
    let hold = match adapter::wants_script_stack_of(store) {
        false => Hold::new(store, isolate)?,
        true => hold_told(ctx, store, isolate)?,
    };
    // Before the hold existed, other code could still resize unshared memory.
    let may_differ = shared.is_none() && kind.length() != Length::Fixed;
    let byte_length = if may_differ { store.byte_length() } else { byte_length };
    // A handle to a part never grows beyond its length, even if its store grows. `Hold::store` could not tell a
    // buffer over the beginning of a growing store from a buffer over the whole store that has not seen it grow
    // yet, or cannot.
    let has_room = max_byte_length.is_some() || shared.is_some_and(SharedStore::is_growable);
    if has_room && (store.byte_offset() != 0 || store.max_byte_length() != hold.max_byte_length()) {
        return Err(Error::Unsupported {
            engine: ENGINE,
            what: "make a buffer over a part of memory whose length changes",
            instead: "copy the part; such memory is exposed as a whole",
        });
    }
    let is_at_end = byte_length == 0 && max_byte_length.is_none() && store.byte_offset() == hold.max_byte_length();
    let opaque = hold.into_raw();
    // The end of a store may be the address of another store, so use the control block's address, at which there is
    // no data (`position`).
    let data = if is_at_end { opaque.as_ptr().cast() } else { data };
    let entry = match growing.map(|growing| growing.new_entry(opaque)) {
        Some(Err(error)) => {
            // SAFETY: I-FREE-ONCE: no buffer was made with the hold.
            drop(unsafe { Hold::from_raw(opaque) });
            return Err(error);
        }
        Some(Ok(entry)) => Some(entry),
        None => None,
    };
    let (realloc, opaque_of_buffer): (qjs::JSReallocArrayBufferDataFunc, _) = match &entry {
        Some(entry) => (Some(growing_realloc), entry.as_opaque()),
        None => (Some(store_realloc), opaque),
    };
    // 0 stands for a buffer of fixed length. A maximum of 0 is set below.
    let most = max_byte_length.map_or(0, |most| most.max(1));
    // SAFETY: I-FREE-ONCE, I-MAPPED: the memory is mapped while the hold lives, and the callback drops the hold
    // once.
    let value = unsafe {
        qjs::JS_NewArrayBuffer(
            ctx.as_raw().as_ptr(),
            data,
            byte_length as qjs::size_t,
            most as qjs::size_t,
            realloc,
            opaque_of_buffer.as_ptr(),
            shared.is_some(),
        )
    };
    // SAFETY: only reads the tag.
    if unsafe { qjs::JS_IsException(value) } {
        drop(entry);
        // SAFETY: I-FREE-ONCE: QuickJS does not call the callback for a buffer that it failed to make.
        drop(unsafe { Hold::from_raw(opaque) });
        return Err(caught(ctx));
    }
    if let Some(entry) = entry {
        entry.made(value);
    }
    if max_byte_length == Some(0) {
        set_no_maximum(ctx, value);
    }
    if kind.is_read_only() {
        // SAFETY: sets a flag of the live object that was just made.
        let set = unsafe { qjs::JS_SetImmutableArrayBuffer(value, true) };
        assert_eq!(set, 0, "an ArrayBuffer can be immutable");
    }
    Ok(value)
}

/// A hold for a buffer, of which the observer hears with the functions of scripts that are running.
#[cold]
#[inline(never)]
fn hold_told(ctx: &Ctx<'_>, store: &BackingStore, isolate: IsolateId) -> Result<Hold, Error> {
    let _script = state::with_script_stack(ctx, true);
    Ok(Hold::new(store, isolate)?)
}

/// Sets the maximum of the buffer `value` to 0, which QuickJS does not accept when it makes a buffer. If the layout
/// is not known, the maximum stays 1, and script may grow the buffer to one byte.
fn set_no_maximum(ctx: &Ctx<'_>, value: qjs::JSValue) {
    let is_known = with_state(ctx, |state| Ok(state.realm(ctx)?.layout_known.get()));
    if is_known.unwrap_or_default() {
        // SAFETY: I-LAYOUT: a live buffer, and the layout was probed.
        let mut fields = unsafe { BufferFields::of(value) };
        // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
        unsafe { fields.as_mut() }.max_byte_length = 0;
    }
}

/// Wraps a new ArrayBuffer without the checks of [`ArrayBuffer::from_value`], which take a tenth of the time to
/// make it.
///
/// # Safety
/// `value` is an ArrayBuffer of the runtime of `ctx`, and this function takes over its reference.
#[inline]
unsafe fn made<'js>(ctx: &Ctx<'js>, value: qjs::JSValue) -> ArrayBuffer<'js> {
    // SAFETY: the value is owned and of this runtime; the caller promises both.
    let value = ManuallyDrop::new(unsafe { Value::from_raw(ctx.clone(), value) });
    // SAFETY: an ArrayBuffer is an object.
    let object = unsafe { value.ref_object() };
    // SAFETY: the caller promises that it is an ArrayBuffer.
    let buffer = unsafe { object.ref_array_buffer() };
    // SAFETY: moved out of `value`, which is not dropped. The lifetime is that of `ctx`, as it was; rquickjs 0.14.0
    // uses the lifetime of the borrow instead.
    unsafe { ptr::from_ref(buffer).cast::<ArrayBuffer<'js>>().read() }
}

/// An immutable buffer with a copy of the bytes of `store`, whose length does not change. If the context keeps script from
/// writing to immutable buffers, the copy is frozen memory.
pub(crate) fn expose_copy<'js>(
    ctx: &Ctx<'js>,
    store: &BackingStore,
    enforces_immutable: bool,
) -> Result<ArrayBuffer<'js>, Error> {
    let (byte_length, limit) = (store.byte_length(), MAX_BYTE_LENGTH);
    if byte_length > limit {
        return Err(Error::TooLargeForEngine { engine: ENGINE, store: Some(store.id()), byte_length, limit });
    }
    let mut copy = UniqueStore::zeroed(byte_length)?;
    store.copy_to_slice(0, &mut copy)?;
    if enforces_immutable {
        let frozen = FrozenStore::from_owner(copy).map_err(|rejected| rejected.into_parts().0)?;
        return expose(ctx, frozen.as_store());
    }
    let buffer = expose(ctx, &BackingStore::from(copy))?;
    // SAFETY: sets a flag of a live object.
    let set = unsafe { qjs::JS_SetImmutableArrayBuffer(buffer.as_value().as_raw(), true) };
    assert_eq!(set, 0, "an ArrayBuffer can be immutable");
    Ok(buffer)
}

/// Detaches the ArrayBuffer `value`, which is not immutable. A detached buffer stays detached.
pub(crate) fn detach(ctx: &Ctx<'_>, value: &Value<'_>) {
    // SAFETY: a live ArrayBuffer. QuickJS may call `store_realloc`, which may run an owner's drop, but runs no
    // script.
    unsafe { qjs::JS_DetachArrayBuffer(ctx.as_raw().as_ptr(), value.as_raw()) };
}
