//! Moves the memory of one ArrayBuffer to another, for an isolate's three transfer functions.
//!
//! QuickJS's own functions take the memory from the old buffer before they make the new one. If there is no memory
//! for the new one, the old buffer's memory is lost. Here, the new buffer is made first, without memory, and then
//! gets the memory of the old one.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use offheap::adapter;
use rquickjs::{Ctx, Value, qjs};

use super::buffer::{MAX_BYTE_LENGTH, detach};
use super::callback::hold_of_buffer;
use super::found::{Found, find_store};
use super::layout::{BufferFields, layout_changed};
use super::middle::forget_exception;
use super::moved::with_hold;
use super::state::{State, with_script_stack, with_state};
use crate::{ENGINE, Error};

/// The three transfer functions.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Transfer {
    KeepMaximum,
    ToFixedLength,
    ToImmutable,
}

const ATTEMPTED: &str = "transfer";

/// The callback of a buffer that has no memory yet.
extern "C" fn no_memory(
    _rt: *mut qjs::JSRuntime,
    _opaque: *mut c_void,
    _data: *mut c_void,
    _size: qjs::size_t,
) -> *mut c_void {
    ptr::null_mut()
}

/// Detaches the ArrayBuffer `buffer` and returns a new one with its memory. For another length, the old buffer's
/// callback provides the memory. For length 0, the new buffer has QuickJS's own memory, and the old buffer frees
/// what it has.
pub(crate) fn transfer<'js>(
    ctx: &Ctx<'js>,
    buffer: &Value<'js>,
    byte_length: Option<usize>,
    sort: Transfer,
) -> Result<Value<'js>, Error> {
    let known = with_state(ctx, |state| Ok(state.realm(ctx)?.layout_known.get()))?;
    if !known {
        return Err(layout_changed());
    }
    let (byte_length, max_byte_length) = lengths(buffer, byte_length, sort)?;
    let made = new_buffer(ctx, byte_length, max_byte_length)?;
    // Making it may have begun a collection, which may have run any code but script.
    let (byte_length, max_byte_length) = lengths(buffer, Some(byte_length), sort)?;
    if byte_length == 0 {
        detach(ctx, buffer);
    } else {
        move_memory(ctx, buffer, &made, byte_length)?;
    }
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and the layout was probed.
    let mut fields = unsafe { BufferFields::of(made.as_raw()) };
    // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
    let fields = unsafe { fields.as_mut() };
    fields.immutable = u8::from(sort == Transfer::ToImmutable);
    // QuickJS does not accept a maximum of 0 when it makes a buffer.
    fields.max_byte_length = max_byte_length.map_or(-1, |most| most as i32);
    note_transferred(ctx, &made)?;
    Ok(made)
}

/// Gives the store of `made`, if it is over one, the length of the buffer, and tells the observer that its memory has moved.
fn note_transferred<'js>(ctx: &Ctx<'js>, made: &Value<'js>) -> Result<(), Error> {
    let (found, isolate) = with_state(ctx, |state| Ok((find_store(ctx, state, made)?, state.isolate())))?;
    if let Found::Store(store) = found {
        let _script = with_script_stack(ctx, adapter::wants_script_stack_of(&store));
        adapter::note_transferred(&store, isolate);
    }
    Ok(())
}

/// The length of the new buffer, and its maximum if it will be resizable.
fn lengths(buffer: &Value<'_>, byte_length: Option<usize>, sort: Transfer) -> Result<(usize, Option<usize>), Error> {
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and the layout was probed.
    let fields = unsafe { BufferFields::of(buffer.as_raw()) };
    // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
    let fields = unsafe { fields.as_ref() };
    if fields.immutable != 0 {
        return Err(Error::Immutable { engine: ENGINE, attempted: ATTEMPTED });
    }
    if fields.detached != 0 {
        return Err(Error::Detached { engine: ENGINE, attempted: ATTEMPTED });
    }
    let requested = byte_length.unwrap_or(fields.byte_length as usize);
    let keeps_maximum = sort == Transfer::KeepMaximum && fields.is_resizable();
    let max_byte_length = keeps_maximum.then_some(fields.max_byte_length as usize);
    let limit = max_byte_length.unwrap_or(MAX_BYTE_LENGTH);
    if requested > limit {
        return Err(Error::InvalidLength { engine: ENGINE, attempted: ATTEMPTED, requested, limit });
    }
    Ok((requested, max_byte_length))
}

/// A buffer of this length without memory. No other code gets it before it has memory. A buffer of length 0 has
/// QuickJS's own memory.
fn new_buffer<'js>(ctx: &Ctx<'js>, byte_length: usize, max_byte_length: Option<usize>) -> Result<Value<'js>, Error> {
    let data = if byte_length == 0 { ptr::null_mut() } else { NonNull::dangling().as_ptr() };
    let most = max_byte_length.map_or(0, |most| most.max(1));
    // SAFETY: I-MAPPED: nothing reads the buffer before `move_memory`. If that fails, the buffer is freed, which
    // calls the callback.
    let value = unsafe {
        qjs::JS_NewArrayBuffer(
            ctx.as_raw().as_ptr(),
            data,
            byte_length as qjs::size_t,
            most as qjs::size_t,
            Some(no_memory),
            ptr::null_mut(),
            false,
        )
    };
    // SAFETY: only reads the tag. The call fails only if there is no memory.
    if unsafe { qjs::JS_IsException(value) } {
        forget_exception(ctx.as_raw().as_ptr());
        return Err(Error::Memory(offheap::Error::OutOfMemory { requested: byte_length }));
    }
    // SAFETY: the call above returned an owned value of this runtime.
    Ok(unsafe { Value::from_raw(ctx.clone(), value) })
}

/// Gives `made`, which has this length and no memory, the memory of `buffer`, and detaches `buffer`.
fn move_memory<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>, made: &Value<'js>, byte_length: usize) -> Result<(), Error> {
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and the layout was probed.
    let from = unsafe { BufferFields::of(buffer.as_raw()) }.as_ptr();
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and the layout was probed.
    let old = unsafe { from.read() };
    let old_length = old.byte_length as usize;
    let mut data = old.data;
    if byte_length != old_length {
        // First shrink the store to the buffer's length. A guard of cells may prevent that, but it keeps other code
        // away.
        publish_length(ctx, buffer)?;
        let hold = hold_of_buffer(&old);
        let length_of = |hold| {
            // SAFETY: I-FREE-ONCE: the buffer's hold, which QuickJS has not freed.
            unsafe { with_hold(hold, old.data, |hold, _| hold.byte_length()) }
        };
        let length_of_store = hold.map_or(usize::MAX, length_of);
        // SAFETY: reads a field of a live context.
        let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
        let none_left = Error::Memory(offheap::Error::OutOfMemory { requested: byte_length });
        let Some(realloc) = old.realloc else { return Err(others_memory()) };
        // SAFETY: I-FREE-ONCE: the same call as in QuickJS's own `transfer`; if it returns null, nothing has
        // changed.
        data = unsafe { realloc(runtime, old.opaque, old.data.cast(), byte_length as qjs::size_t) }.cast();
        if data.is_null() {
            let own_memory = |state: &State| Ok(state.realm(ctx)?.is_own_memory(old.realloc, NonNull::new(old.opaque)));
            return Err(if hold.is_some() || with_state(ctx, own_memory)? { none_left } else { others_memory() });
        }
        // No other code has new memory. In a store that stays in place, everything beyond its length is already
        // zero.
        let is_in_place = data == old.data && hold.is_some();
        let end = if is_in_place { length_of_store.min(byte_length) } else { byte_length };
        let stale = end.saturating_sub(old_length);
        // SAFETY: I-MAPPED, I-BORROW: the callback provided this much memory, and no other code touches it, as said
        // above.
        unsafe { data.wrapping_add(old_length.min(end)).write_bytes(0, stale) };
    }
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and the layout was probed.
    let to = unsafe { BufferFields::of(made.as_raw()) }.as_ptr();
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and no code of QuickJS runs while this reference lives.
    let to = unsafe { &mut *to };
    (to.data, to.opaque, to.realloc) = (data, old.opaque, old.realloc);
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and no code of QuickJS runs while this reference lives.
    let from = unsafe { &mut *from };
    (from.opaque, from.realloc) = (ptr::null_mut(), None);
    // Without a callback, detaching frees nothing. It takes the memory from the buffer and its views.
    detach(ctx, buffer);
    Ok(())
}

/// The error if the owner of foreign memory provided none of another length. It may never do so.
fn others_memory() -> Error {
    Error::Unsupported {
        engine: ENGINE,
        what: "transfer a buffer over memory of another library to another length, which that library does not provide",
        instead: "transfer it as it is, or copy the bytes (`slice`)",
    }
}

/// Gives the store of `buffer`, if it is over one, the length of the buffer: a callback cannot tell a length of 0
/// from a length of 1.
pub(crate) fn publish_length<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>) -> Result<(), Error> {
    with_state(ctx, |state| find_store(ctx, state, buffer).map(drop))
}
