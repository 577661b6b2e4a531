//! The native functions that an isolate passes to its set-up script.

use std::ffi::{CStr, c_int};
use std::ptr::{self, NonNull};

use rquickjs::{Ctx, Value, qjs};

use super::buffer::MAX_BYTE_LENGTH;
use super::shared::{grow_store, see_all_growth, see_growth};
use super::sort::is_immutable;
use super::state::with_state;
use super::transfer::{Transfer, publish_length, transfer};
use crate::throw::Throw;
use crate::{ENGINE, Error};

/// A native function, as QuickJS calls it.
type Native = unsafe extern "C" fn(*mut qjs::JSContext, qjs::JSValue, c_int, *mut qjs::JSValue) -> qjs::JSValue;

/// `[seeView, seeGrowth, growStore, seeLength, transfer]`:
///
/// - `seeView(value)` returns whether `value` is a typed array over an immutable buffer. If its buffer is shared,
///   the buffer gets the length of its store.
/// - `seeGrowth(buffer)` gives a growable SharedArrayBuffer the length of its store. It does nothing for other
///   values.
/// - `growStore(buffer, byteLength)` grows a SharedArrayBuffer and its store, for all buffers over that store. It
///   returns false if the buffer is not over a store.
/// - `seeLength(buffer)` gives the store of an ArrayBuffer the length of the buffer.
/// - `transfer(buffer, byteLength, sort)` returns a new ArrayBuffer with the memory of `buffer`. A negative length
///   stands for the current length. `sort` 0 keeps the maximum, 1 makes a buffer of fixed length, 2 an immutable
///   one. It returns `undefined` if the layout is not known.
pub(crate) fn natives<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<[Value<'js>; 5]> {
    Ok([
        function(ctx, c"seeView", 1, see_view)?,
        function(ctx, c"seeGrowth", 1, see_growth_of)?,
        function(ctx, c"growStore", 2, grow_store_of)?,
        function(ctx, c"seeLength", 1, see_length_of)?,
        function(ctx, c"transfer", 3, transfer_of)?,
    ])
}

fn function<'js>(ctx: &Ctx<'js>, name: &CStr, length: c_int, native: Native) -> rquickjs::Result<Value<'js>> {
    let kind = qjs::JSCFunctionEnum_JS_CFUNC_generic;
    // SAFETY: a live context, a name that ends with NUL, and a function that does not unwind.
    let function =
        unsafe { qjs::JS_NewCFunction2(ctx.as_raw().as_ptr(), Some(native), name.as_ptr(), length, kind, 0) };
    // SAFETY: only reads the tag.
    if unsafe { qjs::JS_IsException(function) } {
        return Err(rquickjs::Error::Exception);
    }
    // SAFETY: the call above returned an owned value of the runtime of `ctx`.
    Ok(unsafe { Value::from_raw(ctx.clone(), function) })
}

unsafe extern "C" fn see_view(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: c_int,
    argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: QuickJS fills the arguments up to the length that the function was made with: one.
    let view = unsafe { *argv };
    // SAFETY: reads the class of a live value.
    if unsafe { qjs::JS_GetTypedArrayType(view) } < 0 {
        return qjs::JS_FALSE;
    }
    let none = ptr::null_mut();
    // SAFETY: a typed array; null for results that are not needed.
    let buffer = unsafe { qjs::JS_GetTypedArrayBuffer(ctx, view, none, none, none) };
    // SAFETY: only reads the tag.
    if unsafe { qjs::JS_IsException(buffer) } {
        // The view is out of bounds. A view of an immutable buffer never is, because such a buffer has a fixed
        // length; nor is a view of a shared buffer.
        // SAFETY: takes the exception that was just thrown.
        let exception = unsafe { qjs::JS_GetException(ctx) };
        // SAFETY: the call above returned an owned value.
        unsafe { qjs::JS_FreeValue(ctx, exception) };
        return qjs::JS_FALSE;
    }
    // SAFETY: the calling context, and a live value.
    let (ctx, view_of) = unsafe { borrowed(ctx, buffer) };
    // SAFETY: the call above returned an owned value; `view_of` has its own reference.
    unsafe { qjs::JS_FreeValue(ctx.as_raw().as_ptr(), buffer) };
    if is_immutable(view_of.as_raw()) {
        return qjs::JS_TRUE;
    }
    // This does nothing for memory that is not shared. If it fails, script sees the length that it saw before.
    let _ = see_growth(&ctx, &view_of);
    qjs::JS_FALSE
}

unsafe extern "C" fn see_growth_of(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: c_int,
    argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: QuickJS fills the arguments up to the length that the function was made with: one.
    let buffer = unsafe { *argv };
    // SAFETY: the calling context, and a live value.
    let (ctx, buffer) = unsafe { borrowed(ctx, buffer) };
    // If it fails (script is interrupted, or its stack is full), script sees the length that it saw before.
    let _ = see_growth(&ctx, &buffer);
    qjs::JS_UNDEFINED
}

unsafe extern "C" fn grow_store_of(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: c_int,
    argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: QuickJS fills the arguments up to the length that the function was made with: two.
    let [buffer, byte_length] = unsafe { *argv.cast::<[qjs::JSValue; 2]>() };
    // SAFETY: the calling context, and a live value.
    let (ctx, buffer) = unsafe { borrowed(ctx, buffer) };
    let requested = number(&ctx, byte_length);
    let (attempted, limit) = ("grow", MAX_BYTE_LENGTH);
    let grown = match requested {
        0.0.. if requested <= limit as f64 => grow_store(&ctx, &buffer, requested as usize),
        // Negative, or too large: the conversion to `usize` saturates.
        _ => Err(Error::InvalidLength { engine: ENGINE, attempted, requested: requested as usize, limit }),
    };
    let grown = grown.inspect(|&grown| {
        if grown && let Some(own) = with_state(&ctx, |state| Ok(state.own().cloned())).ok().flatten() {
            see_all_growth(&ctx, &own);
        }
    });
    match grown {
        Ok(true) => qjs::JS_TRUE,
        Ok(false) => qjs::JS_FALSE,
        Err(error) => throw(&ctx, error),
    }
}

unsafe extern "C" fn see_length_of(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: c_int,
    argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: QuickJS fills the arguments up to the length that the function was made with: one.
    let buffer = unsafe { *argv };
    // SAFETY: the calling context, and a live value.
    let (ctx, buffer) = unsafe { borrowed(ctx, buffer) };
    // If the layout is not known, the store gets the length at the next access to it.
    let _ = publish_length(&ctx, &buffer);
    qjs::JS_UNDEFINED
}

unsafe extern "C" fn transfer_of(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: c_int,
    argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: QuickJS fills the arguments up to the length that the function was made with: three.
    let [buffer, byte_length, sort] = unsafe { *argv.cast::<[qjs::JSValue; 3]>() };
    // SAFETY: the calling context, and a live value.
    let (ctx, buffer) = unsafe { borrowed(ctx, buffer) };
    let sort = match number(&ctx, sort) {
        0.0 => Transfer::KeepMaximum,
        1.0 => Transfer::ToFixedLength,
        _ => Transfer::ToImmutable,
    };
    // A length that is too large for a `usize` is too large for a buffer.
    let byte_length = Some(number(&ctx, byte_length)).filter(|&number| number >= 0.0).map(|number| number as usize);
    match transfer(&ctx, &buffer, byte_length, sort) {
        Ok(made) => {
            // SAFETY: adds a reference, which the caller frees.
            unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), made.as_raw()) }
        }
        Err(Error::LayoutChanged { .. }) => qjs::JS_UNDEFINED,
        Err(error) => throw(&ctx, error),
    }
}

/// # Safety
/// `ctx` is the calling context, and `value` is a live value of its runtime. The lifetime ends with the call.
unsafe fn borrowed<'js>(ctx: *mut qjs::JSContext, value: qjs::JSValue) -> (Ctx<'js>, Value<'js>) {
    let ctx = NonNull::new(ctx).expect("a function is called in a context");
    // SAFETY: a live context, which this thread has.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    // SAFETY: a live value; the `Value` frees this reference.
    let value = unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), value) };
    // SAFETY: the call above returned an owned value.
    let value = unsafe { Value::from_raw(ctx.clone(), value) };
    (ctx, value)
}

/// A number that the set-up script passes.
fn number(ctx: &Ctx<'_>, value: qjs::JSValue) -> f64 {
    let mut number = 0.0;
    // SAFETY: the value is a number, so no user code runs.
    unsafe { qjs::JS_ToFloat64(ctx.as_raw().as_ptr(), &mut number, value) };
    number
}

fn throw(ctx: &Ctx<'_>, error: Error) -> qjs::JSValue {
    error.throw(ctx);
    qjs::JS_EXCEPTION
}
