//! Values between script and Rust.

use std::ffi::c_int;

use offheap_engine::{FromScript, ObjectSort, Rooted, ScriptValue, ToScript, cannot_pass};
use rquickjs::{Ctx, Value, qjs};

use super::own::{Root, value_of};
use super::realm::text_of;
use super::state::with_state;
use crate::script::caught;
use crate::{ENGINE, Error};

/// A value of script, for Rust. Runs no script: nothing is converted.
#[inline]
pub(crate) fn from_script<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<FromScript<Root>, Error> {
    if value.is_object() {
        return Ok(FromScript::Object(sort_of(ctx, value)?, Root::new(value)));
    }
    Ok(FromScript::Data(if let Some(number) = value.as_number() {
        ScriptValue::Number(number)
    } else if value.is_undefined() {
        ScriptValue::Undefined
    } else if value.is_null() {
        ScriptValue::Null
    } else if let Some(value) = value.as_bool() {
        ScriptValue::Boolean(value)
    } else if value.is_string() {
        let failed = Error::EngineFailed { engine: ENGINE, attempted: "give the text of a string" };
        ScriptValue::String(text_of(value).ok_or_else(|| {
            ctx.catch();
            failed
        })?)
    } else if value.is_big_int() {
        big_int(ctx, value)?.map_or(ScriptValue::Other("bigint"), ScriptValue::BigInt)
    } else {
        ScriptValue::Other(value.type_name())
    }))
}

/// The sort of an object.
fn sort_of<'js>(ctx: &Ctx<'js>, object: &Value<'js>) -> Result<ObjectSort, Error> {
    let raw = object.as_raw();
    // SAFETY: reads the class of a live value.
    if unsafe { qjs::JS_IsArrayBuffer(raw) } {
        return Ok(ObjectSort::ArrayBuffer);
    }
    // SAFETY: reads the class of a live value.
    if unsafe { qjs::JS_GetTypedArrayType(raw) } >= 0 {
        return Ok(ObjectSort::View);
    }
    // SAFETY: reads the class of a live value.
    if unsafe { qjs::JS_IsDataView(raw) } {
        return Ok(ObjectSort::View);
    }
    // SAFETY: reads the class of a live value, in a live context.
    if unsafe { qjs::JS_IsFunction(ctx.as_raw().as_ptr(), raw) } {
        return Ok(ObjectSort::Function);
    }
    match with_state(ctx, |state| Ok(state.realm(ctx)?.is_shared(raw)))? {
        true => Ok(ObjectSort::ArrayBuffer),
        false => Ok(ObjectSort::Other),
    }
}

/// A BigInt, if it fits in an `i64` or a `u64`. QuickJS's conversions take the lowest 64 bits of any BigInt, so they are
/// converted back and compared.
fn big_int<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Option<i128>, Error> {
    let raw_ctx = ctx.as_raw().as_ptr();
    let mut signed = 0_i64;
    // SAFETY: a live context and a live BigInt, for which no user code runs.
    if unsafe { qjs::JS_ToBigInt64(raw_ctx, &mut signed, value.as_raw()) } < 0 {
        return Err(caught(ctx));
    }
    let unsigned = signed.cast_unsigned();
    // SAFETY: a live context.
    let as_signed = owned(ctx, unsafe { qjs::JS_NewBigInt64(raw_ctx, signed) })?;
    if is_equal(ctx, value, &as_signed) {
        return Ok(Some(signed.into()));
    }
    // SAFETY: a live context.
    let as_unsigned = owned(ctx, unsafe { qjs::JS_NewBigUint64(raw_ctx, unsigned) })?;
    Ok(is_equal(ctx, value, &as_unsigned).then(|| unsigned.into()))
}

fn is_equal<'js>(ctx: &Ctx<'js>, one: &Value<'js>, other: &Value<'js>) -> bool {
    // SAFETY: live values of a live context, which the call does not take.
    unsafe { qjs::JS_IsStrictEqual(ctx.as_raw().as_ptr(), one.as_raw(), other.as_raw()) }
}

/// A value of Rust, for script.
pub(crate) fn to_script<'js>(ctx: &Ctx<'js>, value: ToScript<'_, Root>) -> Result<Value<'js>, Error> {
    let raw_ctx = ctx.as_raw().as_ptr();
    let data = match value {
        ToScript::Object(object) => return open(ctx, object),
        ToScript::Data(data) => data,
    };
    let made = match data {
        ScriptValue::Undefined => qjs::JS_UNDEFINED,
        ScriptValue::Null => qjs::JS_NULL,
        ScriptValue::Boolean(value) => qjs::JS_MKVAL(qjs::JS_TAG_BOOL, c_int::from(*value)),
        // SAFETY: a live context.
        ScriptValue::Number(value) => unsafe { qjs::JS_NewNumber(raw_ctx, *value) },
        ScriptValue::String(text) => {
            // SAFETY: a live context, and a text of this length.
            unsafe { qjs::JS_NewStringLen(raw_ctx, text.as_ptr().cast(), text.len() as qjs::size_t) }
        }
        ScriptValue::BigInt(value) => {
            if let Ok(value) = i64::try_from(*value) {
                // SAFETY: a live context.
                unsafe { qjs::JS_NewBigInt64(raw_ctx, value) }
            } else if let Ok(value) = u64::try_from(*value) {
                // SAFETY: a live context.
                unsafe { qjs::JS_NewBigUint64(raw_ctx, value) }
            } else {
                return Err(cannot_pass(ENGINE, data));
            }
        }
        _ => return Err(cannot_pass(ENGINE, data)),
    };
    owned(ctx, made)
}

/// The object of a root. `ctx` is of the root's isolate.
pub(crate) fn open<'js>(ctx: &Ctx<'js>, object: Rooted<'_, Root>) -> Result<Value<'js>, Error> {
    object.with(|root| value_of(ctx, root))
}

/// A value that a function of QuickJS just returned in `ctx`, or the exception that it threw.
fn owned<'js>(ctx: &Ctx<'js>, value: qjs::JSValue) -> Result<Value<'js>, Error> {
    // SAFETY: only reads the tag.
    if unsafe { qjs::JS_IsException(value) } {
        return Err(caught(ctx));
    }
    // SAFETY: the caller owns the value, which is of the runtime of `ctx`.
    Ok(unsafe { Value::from_raw(ctx.clone(), value) })
}
