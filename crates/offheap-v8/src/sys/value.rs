//! Values between script and Rust.

use offheap_engine::{FromScript, ObjectSort, ScriptValue, ToScript, cannot_pass};

use super::facts::Facts;
use super::object::Buffer;
use super::root::{Root, object_of};
use crate::{ENGINE, Error};

/// A value that script returned, for Rust. Runs no script: nothing is converted. May collect garbage.
pub(crate) fn from_script<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> Result<FromScript<Root>, Error> {
    value_of(scope, value, Root::of_buffer)
}

/// A value that script passed, and so has too; otherwise as [`from_script`].
#[inline]
pub(super) fn passed_by_script<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> Result<FromScript<Root>, Error> {
    value_of(scope, value, Root::of_passed)
}

#[inline]
fn value_of<'s, 'i>(
    scope: &mut v8::PinScope<'s, 'i>,
    value: v8::Local<'s, v8::Value>,
    root_of: impl FnOnce(&mut v8::PinScope<'s, 'i>, &Buffer<'s>, Facts) -> Root,
) -> Result<FromScript<Root>, Error> {
    // In most cases the value is a buffer or a view.
    if let Some(buffer) = Buffer::of_value(value) {
        let facts = buffer.facts();
        return Ok(FromScript::Object(ObjectSort::ArrayBuffer, root_of(scope, &buffer, facts)));
    }
    if let Ok(object) = v8::Local::<v8::Object>::try_from(value) {
        if value.is_array_buffer_view() {
            let facts = Buffer::of(scope, value)?.facts();
            return Ok(FromScript::Object(ObjectSort::View, Root::of_object(scope, object, facts, 0)));
        }
        let sort = if value.is_function() { ObjectSort::Function } else { ObjectSort::Other };
        return Ok(FromScript::Object(sort, Root::of_object(scope, object, Facts::PLAIN, 0)));
    }
    Ok(FromScript::Data(data(scope, value)))
}

fn data(scope: &mut v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> ScriptValue {
    if let Ok(number) = v8::Local::<v8::Number>::try_from(value) {
        ScriptValue::Number(number.value())
    } else if value.is_undefined() {
        ScriptValue::Undefined
    } else if value.is_null() {
        ScriptValue::Null
    } else if value.is_boolean() {
        ScriptValue::Boolean(value.is_true())
    } else if let Ok(text) = v8::Local::<v8::String>::try_from(value) {
        ScriptValue::String(text.to_rust_string_lossy(scope))
    } else if let Ok(number) = v8::Local::<v8::BigInt>::try_from(value) {
        match (number.i64_value(), number.u64_value()) {
            ((number, true), _) => ScriptValue::BigInt(number.into()),
            (_, (number, true)) => ScriptValue::BigInt(number.into()),
            _ => ScriptValue::Other("bigint"),
        }
    } else {
        ScriptValue::Other("symbol")
    }
}

/// A value of Rust, for script. `scope` is of the isolate of the value.
pub(crate) fn to_script<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: ToScript<'_, Root>,
) -> Result<v8::Local<'s, v8::Value>, Error> {
    let data = match value {
        ToScript::Object(object) => return Ok(object_of(scope, object)?.into()),
        ToScript::Data(data) => data,
    };
    Ok(match data {
        ScriptValue::Undefined => v8::undefined(scope).into(),
        ScriptValue::Null => v8::null(scope).into(),
        ScriptValue::Boolean(value) => v8::Boolean::new(scope, *value).into(),
        ScriptValue::Number(value) => v8::Number::new(scope, *value).into(),
        ScriptValue::String(text) => {
            let too_long = Error::EngineFailed { engine: ENGINE, attempted: "make a string" };
            v8::String::new(scope, text).ok_or(too_long)?.into()
        }
        ScriptValue::BigInt(value) => {
            if let Ok(value) = i64::try_from(*value) {
                v8::BigInt::new_from_i64(scope, value).into()
            } else if let Ok(value) = u64::try_from(*value) {
                v8::BigInt::new_from_u64(scope, value).into()
            } else {
                return Err(cannot_pass(ENGINE, data));
            }
        }
        _ => return Err(cannot_pass(ENGINE, data)),
    })
}
