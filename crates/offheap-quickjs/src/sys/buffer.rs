//! Buffers over stores: making them, and what QuickJS calls when it lets go of one or wants its memory elsewhere.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::rc::Rc;

use offheap::adapter::Hold;
use offheap::{BackingStore, SharedStore, UniqueStore};
use offheap_engine::run_finalizer;
use rquickjs::{ArrayBuffer, Ctx, Value, qjs};

use super::BufferFields;
use super::growing::{Growing, growing_realloc};
use super::moved::{make_room_to_note, note_moved, take_hold, with_hold};
use super::shared::is_shared;
use super::state::{self, with_state};
use crate::script::{caught, not_a_buffer};
use crate::{ENGINE, Error};

/// The most bytes in one buffer of QuickJS: its lengths are `int`s.
pub(crate) const MAX_BYTE_LENGTH: usize = i32::MAX as usize;

/// What a buffer's address must be a multiple of: QuickJS reads elements of up to 8 bytes through aligned pointers.
const ALIGNMENT: usize = 8;

/// Whether a buffer can be over these bytes.
pub(crate) fn is_aligned(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.as_ptr().addr().is_multiple_of(ALIGNMENT)
}

/// An ArrayBuffer over the bytes of `store`, without a copy.
#[inline]
pub(crate) fn expose<'js>(ctx: &Ctx<'js>, store: &BackingStore) -> Result<ArrayBuffer<'js>, Error> {
    let byte_length = store.byte_length();
    if store.kind().is_shared() {
        let what = "make an ArrayBuffer over shared memory";
        let instead = "make a SharedArrayBuffer: `SharedStoreExt::expose`, of `SharedStore::try_from(store)`";
        return Err(Error::Unsupported { engine: ENGINE, what, instead });
    }
    let max_byte_length = store.kind().is_resizable_by_rust().then(|| store.max_byte_length());
    let value = over_store(ctx, store, byte_length, max_byte_length, None, None)?;
    // SAFETY: made by the call above, whose value is used nowhere else.
    Ok(unsafe { made(ctx, value) })
}

/// A buffer over `store`, which has this length; one that may get longer up to `max_byte_length` where there is one. Of
/// shared memory, which `shared` is then, a SharedArrayBuffer, and one of those that follow their store in that list.
#[inline]
pub(super) fn over_store(
    ctx: &Ctx<'_>,
    store: &BackingStore,
    byte_length: usize,
    max_byte_length: Option<usize>,
    shared: Option<&SharedStore>,
    growing: Option<&Rc<Growing>>,
) -> Result<qjs::JSValue, Error> {
    // QuickJS has the same limit for the maximum of a resizable buffer.
    let most = max_byte_length.unwrap_or(byte_length);
    if most > MAX_BYTE_LENGTH {
        let (store, limit) = (Some(store.id()), MAX_BYTE_LENGTH);
        return Err(Error::TooLargeForEngine { engine: ENGINE, store, byte_length: most, limit });
    }
    let data: *mut u8 = store.as_ptr().cast();
    if byte_length != 0 && !data.addr().is_multiple_of(ALIGNMENT) {
        let (store, byte_offset) = (store.id(), store.byte_offset());
        return Err(Error::Misaligned { engine: ENGINE, store, byte_offset, alignment: ALIGNMENT });
    }
    let hold = Hold::new(store, state::isolate_id(ctx)?)?;
    // Until here others could give unshared memory another length.
    let byte_length = if shared.is_none() { store.byte_length() } else { byte_length };
    // A handle to a part has no more than its length, whatever its store has. A buffer over the beginning of a store that
    // grows is one over the whole which did not see it grow yet, or cannot: `Hold::store` takes it for that.
    let has_room = max_byte_length.is_some() || shared.is_some_and(SharedStore::is_growable);
    if has_room && (store.byte_offset() != 0 || store.max_byte_length() != hold.max_byte_length()) {
        return Err(Error::Unsupported {
            engine: ENGINE,
            what: "make a buffer over a part of memory whose length changes",
            instead: "copy the part; such memory is exposed as a whole",
        });
    }
    let immutable = hold.is_read_only();
    let is_at_end = byte_length == 0 && max_byte_length.is_none() && store.byte_offset() == hold.max_byte_length();
    let opaque = hold.into_raw();
    // One past the end may be where another store begins; the control block's address is nobody's data (`position`).
    let data = if is_at_end { opaque.as_ptr().cast() } else { data };
    let entry = match growing.map(|growing| growing.new_entry(opaque)) {
        Some(Err(error)) => {
            // SAFETY: I-FREE-ONCE: no buffer was made with it.
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
    // 0 stands for a buffer that has one length. A maximum of 0 is set below.
    let most = max_byte_length.map_or(0, |most| most.max(1));
    // SAFETY: I-FREE-ONCE, I-MAPPED: the memory is there while the hold lives, which the callback drops once.
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
    // SAFETY: only looks at the tag.
    if unsafe { qjs::JS_IsException(value) } {
        drop(entry);
        // SAFETY: I-FREE-ONCE: QuickJS does not call the callback of a buffer that it did not make.
        drop(unsafe { Hold::from_raw(opaque) });
        return Err(caught(ctx));
    }
    if let Some(entry) = entry {
        entry.made(value);
    }
    if max_byte_length == Some(0) {
        set_no_maximum(ctx, value);
    }
    if immutable {
        // SAFETY: sets a flag of the live object that was just made.
        let set = unsafe { qjs::JS_SetImmutableArrayBuffer(value, true) };
        assert_eq!(set, 0, "an ArrayBuffer can be immutable");
    }
    Ok(value)
}

/// Makes 0 of the maximum of the buffer `value`, for which QuickJS takes no 0 when it makes one. Where the layout is not known
/// it stays at 1, and so does the length that script may give it.
fn set_no_maximum(ctx: &Ctx<'_>, value: qjs::JSValue) {
    let is_known = with_state(ctx, |state| Ok(state.realm(ctx)?.layout_known.get()));
    if is_known.unwrap_or_default() {
        // SAFETY: I-LAYOUT: a live buffer, and the layout was probed.
        let mut fields = unsafe { BufferFields::of(value) };
        // SAFETY: I-LAYOUT: nothing of QuickJS runs while this reference lives.
        unsafe { fields.as_mut() }.max_byte_length = 0;
    }
}

/// What was just made, without the questions of [`ArrayBuffer::from_value`]: they cost a tenth of making it.
///
/// # Safety
/// `value` is an ArrayBuffer of the runtime of `ctx`, and its count is this function's to keep.
#[inline]
unsafe fn made<'js>(ctx: &Ctx<'js>, value: qjs::JSValue) -> ArrayBuffer<'js> {
    // SAFETY: owned and of this runtime, as the caller says.
    let value = ManuallyDrop::new(unsafe { Value::from_raw(ctx.clone(), value) });
    // SAFETY: an ArrayBuffer is an object.
    let object = unsafe { value.ref_object() };
    // SAFETY: it is an ArrayBuffer.
    let buffer = unsafe { object.ref_array_buffer() };
    // SAFETY: moved out of `value`, which is not dropped. The lifetime is that of `ctx`, as it was; rquickjs 0.14.0 names
    // that of the borrow instead.
    unsafe { ptr::from_ref(buffer).cast::<ArrayBuffer<'js>>().read() }
}

/// A buffer with a copy of `bytes`, made by QuickJS; immutable where that is asked for.
pub(crate) fn copy_into_engine<'js>(ctx: &Ctx<'js>, bytes: &[u8], immutable: bool) -> Result<ArrayBuffer<'js>, Error> {
    let (byte_length, limit) = (bytes.len(), MAX_BYTE_LENGTH);
    if byte_length > limit {
        return Err(Error::TooLargeForEngine { engine: ENGINE, store: None, byte_length, limit });
    }
    let buffer = ArrayBuffer::new_copy(ctx.clone(), bytes).map_err(|_| caught(ctx))?;
    if immutable {
        // SAFETY: sets a flag of a live object.
        let set = unsafe { qjs::JS_SetImmutableArrayBuffer(buffer.as_value().as_raw(), true) };
        assert_eq!(set, 0, "an ArrayBuffer can be immutable");
    }
    Ok(buffer)
}

/// The buffer that `value` is, or is a view of: an ArrayBuffer or a SharedArrayBuffer.
pub(crate) fn view_buffer<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Value<'js>, Error> {
    // SAFETY: looks at the class of a live value.
    if unsafe { qjs::JS_IsArrayBuffer(value.as_raw()) } {
        return Ok(value.clone());
    }
    with_state(ctx, |state| {
        let realm = state.realm(ctx)?;
        if realm.is_shared(value.as_raw()) {
            return Ok(value.clone());
        }
        let Some(buffer) = realm.buffer_of_view(value.as_raw())? else { return Err(not_a_buffer(value.type_name())) };
        // SAFETY: owned by the call, and of the runtime of `ctx`.
        let buffer = unsafe { Value::from_raw(ctx.clone(), buffer) };
        // SAFETY: looks at the class of a live value. A collection may have finalized the buffer before the view.
        match unsafe { qjs::JS_IsArrayBuffer(buffer.as_raw()) } || realm.is_shared(buffer.as_raw()) {
            true => Ok(buffer),
            false => Err(not_a_buffer("a view whose buffer is gone")),
        }
    })
}

/// Whether `value` is an ArrayBuffer or a SharedArrayBuffer.
pub(super) fn is_buffer(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<bool, Error> {
    // SAFETY: looks at the class of a live value.
    let is_unshared = unsafe { qjs::JS_IsArrayBuffer(value.as_raw()) };
    Ok(is_unshared || is_shared(ctx, value)?)
}

/// Whether the ArrayBuffer `value` is immutable.
pub(crate) fn is_immutable(value: &Value<'_>) -> bool {
    // SAFETY: reads a flag of a live object; -1 for another class.
    unsafe { qjs::JS_IsImmutableArrayBuffer(value.as_raw()) == 1 }
}

/// Detaches the ArrayBuffer `value`, which is not immutable. A detached one stays so.
pub(crate) fn detach(ctx: &Ctx<'_>, value: &Value<'_>) {
    // SAFETY: a live ArrayBuffer. QuickJS may call `store_realloc`, and through it an owner's drop, but runs no script.
    unsafe { qjs::JS_DetachArrayBuffer(ctx.as_raw().as_ptr(), value.as_raw()) };
}

/// The callback of every buffer that is over a store: `size` 0 lets go of the memory, anything else asks for that many
/// bytes, for a `resize` (which keeps the buffer) or a `transfer` (whose new buffer keeps callback and opaque).
pub(super) unsafe extern "C" fn store_realloc(
    _rt: *mut qjs::JSRuntime,
    opaque: *mut c_void,
    data: *mut c_void,
    size: qjs::size_t,
) -> *mut c_void {
    let opaque = NonNull::new(opaque).expect("made with an opaque");
    // The opaque is the one that `expose` gave with this callback, unless the memory was moved since.
    run_finalizer(ENGINE, || match size {
        0 => {
            // SAFETY: I-FREE-ONCE: the buffer's callback is called with size 0 once.
            drop(unsafe { take_hold(opaque, data.cast()) });
            ptr::null_mut()
        }
        // SAFETY: as the caller says.
        _ => unsafe { realloc(opaque, data.cast(), size as usize) },
    })
}

/// # Safety
/// `opaque` came from a hold for the buffer that `data` is of, which QuickJS has not let go of; `size` is not 0.
#[inline(never)]
unsafe fn realloc(opaque: NonNull<c_void>, data: *mut u8, size: usize) -> *mut c_void {
    // SAFETY: as the caller says.
    let room = unsafe { with_hold(opaque, data, |hold, data| keep_or_move(hold, data, size)) };
    match room {
        Room::InPlace => data.cast(),
        Room::None => ptr::null_mut(),
        Room::Moved(hold) => {
            // SAFETY: I-FREE-ONCE: `size` is not 0, so that QuickJS has not let go; from here on it has.
            let old = unsafe { take_hold(opaque, data) };
            let moved_to = hold.data().as_ptr();
            let hold = hold.into_raw();
            // QuickJS keeps the old opaque, so the new hold is found by its address; unless its block is where the
            // opaque's was, which may be gone by now: then the opaque finds it.
            if hold != opaque {
                note_moved(moved_to, hold);
            }
            drop(old);
            moved_to.cast()
        }
    }
}

enum Room {
    InPlace,
    Moved(Hold),
    None,
}

/// Room for `size` bytes: in place where the store is resizable and goes that far, otherwise in a new store, as on V8.
fn keep_or_move(hold: &Hold, data: *const u8, size: usize) -> Room {
    if hold.kind().is_resizable_by_rust() && size <= hold.max_byte_length() {
        // A `resize(0)` asks for one byte; the length is published exactly afterwards (`publish_length`), or when the store
        // is next asked for. A guard of cells keeps a longer length until then, too; the memory stays.
        return if hold.resize(size).is_ok() || size < hold.byte_length() { Room::InPlace } else { Room::None };
    }
    // The buffer may be over a part of the store. More than its length may be copied then; QuickJS zeroes that.
    let end = hold.data().as_ptr().addr() + hold.byte_length();
    let count = size.min(end - data.addr());
    let from = hold.store(data, count);
    let Some((isolate, _)) = from.exposure() else { return Room::None };
    let Ok(mut unique) = UniqueStore::zeroed(size) else { return Room::None };
    // Room for the new hold, so that nothing fails once there is one.
    if !make_room_to_note() {
        return Room::None;
    }
    // SAFETY: I-BORROW: script is the writer of exposed memory, and it is script that asks for this; the range ends
    // with the store at the latest, and the new store is apart from it. Shared memory and maps count no buffers, and were
    // refused above.
    unsafe { unique.as_mut_ptr().copy_from_nonoverlapping(data, count) };
    let store = BackingStore::from(unique);
    match Hold::new(&store, isolate) {
        Ok(hold) => Room::Moved(hold),
        Err(_) => Room::None,
    }
}
