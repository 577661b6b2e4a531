//! The native functions that an isolate's set-up script is given.

use std::ffi::{CStr, c_int};
use std::ptr::{self, NonNull};

use rquickjs::{Ctx, Value, qjs};

use super::buffer::MAX_BYTE_LENGTH;
use super::shared::{grow_store, see_all_growth, see_growth};
use super::sort::is_immutable;
use super::state::with_state;
use super::transfer::{Transfer, publish_length, transfer};
use crate::script::Throw;
use crate::{ENGINE, Error};

/// A function of native code, as QuickJS calls it.
type Native = unsafe extern "C" fn(*mut qjs::JSContext, qjs::JSValue, c_int, *mut qjs::JSValue) -> qjs::JSValue;

/// `[seeView, seeGrowth, growStore, seeLength, transfer]`:
///
/// - `seeView(value)`: whether it is a typed array over an immutable buffer; one over shared memory sees its growth.
/// - `seeGrowth(buffer)`: a growable SharedArrayBuffer sees the growth of its store; of anything else nothing.
/// - `growStore(buffer, byteLength)`: grows a SharedArrayBuffer and its store, which all others see; false where it is over
///   none.
/// - `seeLength(buffer)`: the store of an ArrayBuffer has the length that the buffer has.
/// - `transfer(buffer, byteLength, sort)`: a new ArrayBuffer with the memory of `buffer`; a length below 0 is the one that it
///   has, `sort` 0 keeps the maximum, 1 makes one of fixed length, 2 an immutable one; nothing where the layout is not known.
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
    // SAFETY: only looks at the tag.
    if unsafe { qjs::JS_IsException(function) } {
        return Err(rquickjs::Error::Exception);
    }
    // SAFETY: owned by the call above, and of the runtime of `ctx`.
    Ok(unsafe { Value::from_raw(ctx.clone(), function) })
}

unsafe extern "C" fn see_view(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: c_int,
    argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: QuickJS fills up the arguments to the length that the function was made with: one.
    let view = unsafe { *argv };
    // SAFETY: looks at the class of a live value.
    if unsafe { qjs::JS_GetTypedArrayType(view) } < 0 {
        return qjs::JS_FALSE;
    }
    let none = ptr::null_mut();
    // SAFETY: a typed array; null where a result is not wanted.
    let buffer = unsafe { qjs::JS_GetTypedArrayBuffer(ctx, view, none, none, none) };
    // SAFETY: only looks at the tag.
    if unsafe { qjs::JS_IsException(buffer) } {
        // Out of bounds, which no view of an immutable buffer is: such a buffer has one length. Nor is one of a shared one.
        // SAFETY: takes the exception that was just thrown.
        let exception = unsafe { qjs::JS_GetException(ctx) };
        // SAFETY: owned by the call above.
        unsafe { qjs::JS_FreeValue(ctx, exception) };
        return qjs::JS_FALSE;
    }
    // SAFETY: the context that calls, and a live value.
    let (ctx, view_of) = unsafe { borrowed(ctx, buffer) };
    // SAFETY: owned by the call above; `view_of` keeps it.
    unsafe { qjs::JS_FreeValue(ctx.as_raw().as_ptr(), buffer) };
    if is_immutable(&view_of) {
        return qjs::JS_TRUE;
    }
    // Nothing for what is not shared. Where it fails script sees the length that it saw before.
    let _ = see_growth(&ctx, &view_of);
    qjs::JS_FALSE
}

unsafe extern "C" fn see_growth_of(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: c_int,
    argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: QuickJS fills up the arguments to the length that the function was made with: one.
    let buffer = unsafe { *argv };
    // SAFETY: the context that calls, and a live value.
    let (ctx, buffer) = unsafe { borrowed(ctx, buffer) };
    // Where it fails (script is interrupted, or at the end of its stack) script sees the length that it saw before.
    let _ = see_growth(&ctx, &buffer);
    qjs::JS_UNDEFINED
}

unsafe extern "C" fn grow_store_of(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: c_int,
    argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: QuickJS fills up the arguments to the length that the function was made with: two.
    let [buffer, byte_length] = unsafe { *argv.cast::<[qjs::JSValue; 2]>() };
    // SAFETY: the context that calls, and a live value.
    let (ctx, buffer) = unsafe { borrowed(ctx, buffer) };
    let requested = number(&ctx, byte_length);
    let (attempted, limit) = ("grow", MAX_BYTE_LENGTH);
    let grown = match requested {
        0.0.. if requested <= limit as f64 => grow_store(&ctx, &buffer, requested as usize),
        // Beyond what a `usize` tells apart, either way.
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
    // SAFETY: QuickJS fills up the arguments to the length that the function was made with: one.
    let buffer = unsafe { *argv };
    // SAFETY: the context that calls, and a live value.
    let (ctx, buffer) = unsafe { borrowed(ctx, buffer) };
    // Where the layout is not known the store is told when it is next asked for.
    let _ = publish_length(&ctx, &buffer);
    qjs::JS_UNDEFINED
}

unsafe extern "C" fn transfer_of(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: c_int,
    argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: QuickJS fills up the arguments to the length that the function was made with: three.
    let [buffer, byte_length, sort] = unsafe { *argv.cast::<[qjs::JSValue; 3]>() };
    // SAFETY: the context that calls, and a live value.
    let (ctx, buffer) = unsafe { borrowed(ctx, buffer) };
    let sort = match number(&ctx, sort) {
        0.0 => Transfer::KeepMaximum,
        1.0 => Transfer::ToFixedLength,
        _ => Transfer::ToImmutable,
    };
    // What is too much for a `usize` is too much for a buffer.
    let byte_length = Some(number(&ctx, byte_length)).filter(|&number| number >= 0.0).map(|number| number as usize);
    match transfer(&ctx, &buffer, byte_length, sort) {
        Ok(made) => {
            // SAFETY: one more reference, which the caller frees.
            unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), made.as_raw()) }
        }
        Err(Error::LayoutChanged { .. }) => qjs::JS_UNDEFINED,
        Err(error) => throw(&ctx, error),
    }
}

/// # Safety
/// `ctx` is the context that calls, and `value` a live value of its runtime. The lifetime ends with the call.
unsafe fn borrowed<'js>(ctx: *mut qjs::JSContext, value: qjs::JSValue) -> (Ctx<'js>, Value<'js>) {
    let ctx = NonNull::new(ctx).expect("a function is called in a context");
    // SAFETY: a live context, which this thread has.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    // SAFETY: a live value; the `Value` frees this reference.
    let value = unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), value) };
    // SAFETY: owned by the call above.
    let value = unsafe { Value::from_raw(ctx.clone(), value) };
    (ctx, value)
}

/// A number that the set-up script passes.
fn number(ctx: &Ctx<'_>, value: qjs::JSValue) -> f64 {
    let mut number = 0.0;
    // SAFETY: a number, so that no user code runs.
    unsafe { qjs::JS_ToFloat64(ctx.as_raw().as_ptr(), &mut number, value) };
    number
}

fn throw(ctx: &Ctx<'_>, error: Error) -> qjs::JSValue {
    error.throw(ctx);
    qjs::JS_EXCEPTION
}
