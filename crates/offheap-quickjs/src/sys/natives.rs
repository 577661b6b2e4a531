//! The native functions that an isolate's set-up script is given.

use std::ffi::{CStr, c_int};
use std::ptr::{self, NonNull};

use rquickjs::{Ctx, Value, qjs};

use super::buffer::MAX_BYTE_LENGTH;
use super::shared::{grow_store, see_growth};
use crate::script::Throw;
use crate::{ENGINE, Error};

/// A function of native code, as QuickJS calls it.
type Native = unsafe extern "C" fn(*mut qjs::JSContext, qjs::JSValue, c_int, *mut qjs::JSValue) -> qjs::JSValue;

/// `[seeView, seeGrowth, growStore]`:
///
/// - `seeView(value)`: whether it is a typed array over an immutable buffer; one over shared memory sees its growth.
/// - `seeGrowth(buffer)`: a growable SharedArrayBuffer sees the growth of its store; of anything else nothing.
/// - `growStore(buffer, byteLength)`: grows a SharedArrayBuffer and its store; false where it is over none.
pub(crate) fn natives<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<[Value<'js>; 3]> {
    Ok([
        function(ctx, c"seeView", 1, see_view)?,
        function(ctx, c"seeGrowth", 1, see_growth_of)?,
        function(ctx, c"growStore", 2, grow_store_of)?,
    ])
}

fn function<'js>(ctx: &Ctx<'js>, name: &CStr, length: c_int, native: Native) -> rquickjs::Result<Value<'js>> {
    let kind = qjs::JSCFunctionEnum_JS_CFUNC_generic;
    // SAFETY: a live context, a name that ends with NUL, and a function that does not unwind.
    let function =
        unsafe { qjs::JS_NewCFunction2(ctx.as_raw().as_ptr(), Some(native), name.as_ptr(), length, kind, 0) };
    // SAFETY: looks at the tag alone.
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
    // SAFETY: looks at the tag alone.
    if unsafe { qjs::JS_IsException(buffer) } {
        // Out of bounds, which no view of an immutable buffer is: such a buffer has one length. Nor is one of a shared one.
        // SAFETY: takes the exception that was just thrown.
        let exception = unsafe { qjs::JS_GetException(ctx) };
        // SAFETY: owned by the call above.
        unsafe { qjs::JS_FreeValue(ctx, exception) };
        return qjs::JS_FALSE;
    }
    // SAFETY: looks at the class of a live value.
    if !unsafe { qjs::JS_IsArrayBuffer(buffer) } {
        // SAFETY: owned by the call above, which is this function's to free.
        unsafe { see_growth_in(ctx, buffer) };
        return qjs::JS_FALSE;
    }
    // SAFETY: reads a flag of a live object.
    let immutable = unsafe { qjs::JS_IsImmutableArrayBuffer(buffer) } == 1;
    // SAFETY: owned by the call above.
    unsafe { qjs::JS_FreeValue(ctx, buffer) };
    if immutable { qjs::JS_TRUE } else { qjs::JS_FALSE }
}

unsafe extern "C" fn see_growth_of(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: c_int,
    argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    // SAFETY: QuickJS fills up the arguments to the length that the function was made with: one.
    let buffer = unsafe { *argv };
    // SAFETY: a live value; this reference is that function's to free.
    let buffer = unsafe { qjs::JS_DupValue(ctx, buffer) };
    // SAFETY: as above.
    unsafe { see_growth_in(ctx, buffer) };
    qjs::JS_UNDEFINED
}

/// # Safety
/// `ctx` is the context that calls, and `buffer` a value of its runtime that is this function's to free.
unsafe fn see_growth_in(ctx: *mut qjs::JSContext, buffer: qjs::JSValue) {
    let ctx = NonNull::new(ctx).expect("a function is called in a context");
    // SAFETY: a live context, which this thread has; the lifetime ends with this call.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    // SAFETY: owned, as the caller says.
    let buffer = unsafe { Value::from_raw(ctx.clone(), buffer) };
    // Where it fails (script is interrupted, or at the end of its stack) script sees the length that it saw before.
    let _ = see_growth(&ctx, &buffer);
}

unsafe extern "C" fn grow_store_of(
    ctx: *mut qjs::JSContext,
    _this: qjs::JSValue,
    _argc: c_int,
    argv: *mut qjs::JSValue,
) -> qjs::JSValue {
    let ctx = NonNull::new(ctx).expect("a function is called in a context");
    // SAFETY: a live context, which this thread has; the lifetime ends with this call.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    // SAFETY: QuickJS fills up the arguments to the length that the function was made with: two.
    let [buffer, byte_length] = unsafe { *argv.cast::<[qjs::JSValue; 2]>() };
    // SAFETY: a live value; the `Value` frees this reference.
    let buffer = unsafe { qjs::JS_DupValue(ctx.as_raw().as_ptr(), buffer) };
    // SAFETY: owned by the call above.
    let buffer = unsafe { Value::from_raw(ctx.clone(), buffer) };
    let mut requested = 0.0;
    // SAFETY: the set-up script passes a number, so that no user code runs.
    unsafe { qjs::JS_ToFloat64(ctx.as_raw().as_ptr(), &mut requested, byte_length) };
    let (attempted, limit) = ("grow", MAX_BYTE_LENGTH);
    let grown = match requested {
        0.0.. if requested <= limit as f64 => grow_store(&ctx, &buffer, requested as usize),
        // Beyond what a `usize` tells apart, either way.
        _ => Err(Error::InvalidLength { engine: ENGINE, attempted, requested: requested as usize, limit }),
    };
    match grown {
        Ok(true) => qjs::JS_TRUE,
        Ok(false) => qjs::JS_FALSE,
        Err(error) => {
            error.throw(&ctx);
            qjs::JS_EXCEPTION
        }
    }
}
