//! Finds out whether a value is a buffer, of which kind, or a view.

use rquickjs::{Ctx, Value, qjs};

use super::state::with_state;
use crate::Error;
use crate::script::not_a_buffer;

/// The buffer `value`, or the buffer of the view `value`: an ArrayBuffer or a SharedArrayBuffer.
pub(crate) fn view_buffer<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Value<'js>, Error> {
    // SAFETY: reads the class of a live value.
    if unsafe { qjs::JS_IsArrayBuffer(value.as_raw()) } {
        return Ok(value.clone());
    }
    with_state(ctx, |state| {
        let realm = state.realm(ctx)?;
        if realm.is_shared(value.as_raw()) {
            return Ok(value.clone());
        }
        let Some(buffer) = realm.buffer_of_view(value.as_raw())? else { return Err(not_a_buffer(value.type_name())) };
        // SAFETY: the call above returned an owned value of the runtime of `ctx`.
        let buffer = unsafe { Value::from_raw(ctx.clone(), buffer) };
        // SAFETY: reads the class of a live value. A collection may have finalized the buffer before the view.
        match unsafe { qjs::JS_IsArrayBuffer(buffer.as_raw()) } || realm.is_shared(buffer.as_raw()) {
            true => Ok(buffer),
            false => Err(not_a_buffer("a view whose buffer is gone")),
        }
    })
}

/// Whether `value` is an ArrayBuffer or a SharedArrayBuffer.
pub(super) fn is_buffer(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<bool, Error> {
    // SAFETY: reads the class of a live value.
    let is_unshared = unsafe { qjs::JS_IsArrayBuffer(value.as_raw()) };
    Ok(is_unshared || is_shared(ctx, value)?)
}

/// Whether the ArrayBuffer `value`, which is alive, is immutable.
pub(crate) fn is_immutable(value: qjs::JSValue) -> bool {
    // SAFETY: reads a flag of a live object; the result is -1 for another class.
    unsafe { qjs::JS_IsImmutableArrayBuffer(value) == 1 }
}

/// Whether `value`, which is alive, is a typed array or a DataView.
#[inline]
pub(crate) fn is_view(value: qjs::JSValue) -> bool {
    // SAFETY: reads the class of a live value.
    let is_typed_array = unsafe { qjs::JS_GetTypedArrayType(value) } >= 0;
    // SAFETY: reads the class of a live value.
    is_typed_array || unsafe { qjs::JS_IsDataView(value) }
}

/// Whether `buffer` is a SharedArrayBuffer.
pub(crate) fn is_shared(ctx: &Ctx<'_>, buffer: &Value<'_>) -> Result<bool, Error> {
    // SAFETY: reads the class of a live value.
    if unsafe { qjs::JS_IsArrayBuffer(buffer.as_raw()) } {
        return Ok(false);
    }
    with_state(ctx, |state| Ok(state.realm(ctx)?.is_shared(buffer.as_raw())))
}
