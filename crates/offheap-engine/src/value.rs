//! Values of script, on every engine: `Value` in a scope, and the types by which adapters pass values on.

use std::fmt;

use crate::engine::ScriptValue;
use crate::host::Host;
use crate::table::{Rooted, Table};
use crate::{Error, Handle, JsArrayBuffer, JsArrayBufferView, JsFunction, JsObject, Local};

/// A value of script in a scope of its isolate. Objects are kept alive by the [`Local`]s in it.
///
/// Rust values become script values by `From`: `Value::from(1.5)`, `Value::from("text")`, `Value::from(&buffer)`.
/// Script values become Rust values by [`FromJs`](crate::FromJs).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Value<'s> {
    /// `undefined`.
    Undefined,
    /// `null`.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A BigInt that fits in an `i64` or a `u64`.
    BigInt(i128),
    /// A string. `U+FFFD` replaces each lone surrogate.
    String(String),
    /// An ArrayBuffer or a SharedArrayBuffer.
    ArrayBuffer(Local<'s, JsArrayBuffer>),
    /// A typed array or a DataView.
    View(Local<'s, JsArrayBufferView>),
    /// A function.
    Function(Local<'s, JsFunction>),
    /// Any other object, for example an array.
    Object(Local<'s, JsObject>),
    /// A value that cannot be passed on, with the name of its type: `"symbol"`, and `"bigint"` for a BigInt that fits in
    /// neither an `i64` nor a `u64`.
    Other(&'static str),
}

/// The sorts of objects that a [`Value`] distinguishes. For adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectSort {
    /// An ArrayBuffer or a SharedArrayBuffer.
    ArrayBuffer,
    /// A typed array or a DataView.
    View,
    /// A function.
    Function,
    /// Any other object.
    Other,
}

/// A value that an engine gives. For adapters.
#[derive(Debug)]
pub enum FromScript<R> {
    /// A value that is not an object.
    Data(ScriptValue),
    /// An object.
    Object(ObjectSort, R),
}

/// A value that an engine gets. For adapters.
pub enum ToScript<'a, R> {
    /// A value that is not an object.
    Data(&'a ScriptValue),
    /// An object of the engine's isolate.
    Object(Rooted<'a, R>),
}

impl<R> Clone for ToScript<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for ToScript<'_, R> {}

/// The error for a value that an engine cannot get: a symbol, or a BigInt beyond `i64` and `u64`. For adapters.
pub fn cannot_pass(engine: &'static str, value: &ScriptValue) -> Error {
    Error::Function {
        message: format!("{engine}: {value} cannot be passed to script; keep it in a variable of script"),
    }
}

/// The type parameter of a [`Handle`]: [`JsArrayBuffer`], [`JsArrayBufferView`], [`JsFunction`] or [`JsObject`].
pub trait JsType: Sized + sealed::Sealed {
    /// The type in messages, with an article.
    const NAME: &'static str;

    /// The local as a value.
    fn into_value(local: Local<'_, Self>) -> Value<'_>;

    /// The value as a local, if it has this type.
    ///
    /// # Errors
    /// The value comes back if it is of another type.
    fn from_value(value: Value<'_>) -> Result<Local<'_, Self>, Value<'_>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! js_type {
    ($type:ident, $variant:ident, $name:literal) => {
        impl sealed::Sealed for $type {}
        impl JsType for $type {
            const NAME: &'static str = $name;

            #[inline]
            fn into_value(local: Local<'_, Self>) -> Value<'_> {
                Value::$variant(local)
            }

            #[inline]
            fn from_value(value: Value<'_>) -> Result<Local<'_, Self>, Value<'_>> {
                match value {
                    Value::$variant(local) => Ok(local),
                    other => Err(other),
                }
            }
        }
    };
}

js_type!(JsArrayBuffer, ArrayBuffer, "an ArrayBuffer");
js_type!(JsArrayBufferView, View, "a typed array or a DataView");
js_type!(JsFunction, Function, "a function");

impl sealed::Sealed for JsObject {}
impl JsType for JsObject {
    const NAME: &'static str = "an object";

    fn into_value(local: Local<'_, Self>) -> Value<'_> {
        Value::Object(local)
    }

    fn from_value(value: Value<'_>) -> Result<Local<'_, Self>, Value<'_>> {
        match value {
            Value::ArrayBuffer(local) => Ok(local.cast()),
            Value::View(local) => Ok(local.cast()),
            Value::Function(local) => Ok(local.cast()),
            Value::Object(local) => Ok(local),
            other => Err(other),
        }
    }
}

impl<'s> Value<'s> {
    /// A value from an engine.
    #[inline]
    pub(crate) fn new(data: ScriptValue) -> Self {
        match data {
            ScriptValue::Undefined => Value::Undefined,
            ScriptValue::Null => Value::Null,
            ScriptValue::Boolean(value) => Value::Boolean(value),
            ScriptValue::Number(value) => Value::Number(value),
            ScriptValue::BigInt(value) => Value::BigInt(value),
            ScriptValue::String(value) => Value::String(value),
            ScriptValue::Other(name) => Value::Other(name),
        }
    }

    #[inline]
    pub(crate) fn into_parts(self) -> Parts {
        Parts::Data(match self {
            Value::Undefined => ScriptValue::Undefined,
            Value::Null => ScriptValue::Null,
            Value::Boolean(value) => ScriptValue::Boolean(value),
            Value::Number(value) => ScriptValue::Number(value),
            Value::BigInt(value) => ScriptValue::BigInt(value),
            Value::String(value) => ScriptValue::String(value),
            Value::Other(name) => ScriptValue::Other(name),
            Value::ArrayBuffer(object) => return Parts::Object(object.cast().into_handle()),
            Value::View(object) => return Parts::Object(object.cast().into_handle()),
            Value::Function(object) => return Parts::Object(object.cast().into_handle()),
            Value::Object(object) => return Parts::Object(object.into_handle()),
        })
    }
}

/// A value, as an engine gets it.
pub(crate) enum Parts {
    Data(ScriptValue),
    Object(Handle<JsObject>),
}

impl Parts {
    /// The value for the engine of `table`.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`] or [`Error::IsolateGone`] for an object of another isolate.
    #[inline]
    pub(crate) fn to_script<'a, H: Host>(&'a self, table: &'a Table<H>) -> Result<ToScript<'a, H::Root>, Error> {
        match self {
            Parts::Data(data) => Ok(ToScript::Data(data)),
            Parts::Object(object) => {
                table.check(object)?;
                Ok(ToScript::Object(table.rooted(object.slot())))
            }
        }
    }
}

impl From<Value<'_>> for ScriptValue {
    /// Drops objects, and keeps the names of their types.
    fn from(value: Value<'_>) -> Self {
        let name = if matches!(value, Value::Function(_)) { "function" } else { "object" };
        match value.into_parts() {
            Parts::Data(data) => data,
            Parts::Object(_) => ScriptValue::Other(name),
        }
    }
}

impl fmt::Display for Value<'_> {
    /// The value as script would write it, shortened for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::ArrayBuffer(_) => f.write_str(JsArrayBuffer::NAME),
            Value::View(_) => f.write_str(JsArrayBufferView::NAME),
            Value::Function(_) => f.write_str(JsFunction::NAME),
            Value::Object(_) => f.write_str(JsObject::NAME),
            data => ScriptValue::from(data.clone()).fmt(f),
        }
    }
}

impl From<()> for Value<'_> {
    fn from((): ()) -> Self {
        Value::Undefined
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Boolean(value)
    }
}

macro_rules! from_number {
    ($($number:ty),*) => {$(
        impl From<$number> for Value<'_> {
            fn from(value: $number) -> Self {
                Value::Number(f64::from(value))
            }
        }
    )*};
}

// Every value of these types is a number of script. An `i64`, a `u64` or a `usize` may be none.
from_number!(f64, f32, i32, u32, i16, u16, i8, u8);

impl From<&str> for Value<'_> {
    fn from(value: &str) -> Self {
        Value::String(value.to_owned())
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Value::String(value)
    }
}

impl<'s, T: Into<Value<'s>>> From<Option<T>> for Value<'s> {
    /// `None` becomes `undefined`.
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Undefined, T::into)
    }
}

impl<'s, T: JsType> From<Local<'s, T>> for Value<'s> {
    fn from(local: Local<'s, T>) -> Self {
        T::into_value(local)
    }
}

impl<'s, T: JsType> From<&Local<'s, T>> for Value<'s> {
    fn from(local: &Local<'s, T>) -> Self {
        T::into_value(local.clone())
    }
}

impl<T: JsType> From<&Handle<T>> for Value<'_> {
    /// The isolate of the handle is checked when the value is passed to script.
    fn from(handle: &Handle<T>) -> Self {
        T::into_value(Local::new(handle.clone()))
    }
}

/// The arguments of a call of script: `()`, tuples such as `(&buffer, 3, "text")`, and vectors of [`Value`]s.
pub trait IntoArguments<'s> {
    /// The arguments in their order.
    fn into_arguments(self) -> Vec<Value<'s>>;
}

impl<'s> IntoArguments<'s> for Vec<Value<'s>> {
    fn into_arguments(self) -> Vec<Value<'s>> {
        self
    }
}

impl<'s> IntoArguments<'s> for () {
    fn into_arguments(self) -> Vec<Value<'s>> {
        Vec::new()
    }
}

macro_rules! into_arguments {
    ($($name:ident)+) => {
        impl<'s, $($name: Into<Value<'s>>),+> IntoArguments<'s> for ($($name,)+) {
            #[expect(non_snake_case, reason = "the names of the types name the values too")]
            fn into_arguments(self) -> Vec<Value<'s>> {
                let ($($name,)+) = self;
                vec![$($name.into()),+]
            }
        }
    };
}

into_arguments!(A);
into_arguments!(A B);
into_arguments!(A B C);
into_arguments!(A B C D);
into_arguments!(A B C D E);
into_arguments!(A B C D E F);
