//! What the verbs of `verbs.mjs` are asked and what they answer, as JSON.

use offheap_engine::{Element, Error, FromScript, ObjectSort, ScriptError, ScriptValue, Window};
use serde::{Deserialize, Serialize};

use crate::worker::{NAME, Root};

/// A value of script. Numbers are strings, because JSON has no NaN and no `-0`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Wire {
    Undefined,
    Null,
    Boolean(bool),
    Number(String),
    BigInt(String),
    String(String),
    Other(String),
    Object(Sort, u32),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Sort {
    Buffer,
    View,
    Function,
    Other,
}

impl Wire {
    pub(crate) fn into_value(self) -> Result<FromScript<Root>, Error> {
        Ok(FromScript::Data(match self {
            Wire::Undefined => ScriptValue::Undefined,
            Wire::Null => ScriptValue::Null,
            Wire::Boolean(value) => ScriptValue::Boolean(value),
            Wire::Number(text) => ScriptValue::Number(text.parse().map_err(|_| misunderstood())?),
            Wire::BigInt(text) => match text.parse::<i128>() {
                Ok(value) if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value) => {
                    ScriptValue::BigInt(value)
                }
                _ => ScriptValue::Other("bigint"),
            },
            Wire::String(text) => ScriptValue::String(text),
            Wire::Other(_) => ScriptValue::Other("symbol"),
            Wire::Object(sort, root) => {
                let sort = match sort {
                    Sort::Buffer => ObjectSort::ArrayBuffer,
                    Sort::View => ObjectSort::View,
                    Sort::Function => ObjectSort::Function,
                    Sort::Other => ObjectSort::Other,
                };
                return Ok(FromScript::Object(sort, Root(root)));
            }
        }))
    }

    pub(crate) fn of(value: &ScriptValue) -> Result<Self, Error> {
        Ok(match value {
            ScriptValue::Undefined => Wire::Undefined,
            ScriptValue::Null => Wire::Null,
            ScriptValue::Boolean(value) => Wire::Boolean(*value),
            ScriptValue::Number(value) if value.is_infinite() => {
                Wire::Number(if *value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
            }
            ScriptValue::Number(value) => Wire::Number(value.to_string()),
            ScriptValue::BigInt(value) => Wire::BigInt(value.to_string()),
            ScriptValue::String(value) => Wire::String(value.clone()),
            other => return Err(offheap_engine::cannot_pass(NAME, other)),
        })
    }
}

/// The answer of a verb.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer<T> {
    Done(T),
    Threw { name: String, message: String, stack: String },
    NotBuffer(String),
}

/// Reads the answer of a verb. `thrown` may make an error of its own of an exception, from the name of its class.
pub(crate) fn read<T: for<'d> Deserialize<'d>>(
    answer: &str,
    thrown: impl FnOnce(&str) -> Option<Error>,
) -> Result<T, Error> {
    match serde_json::from_str(answer).map_err(|_| misunderstood())? {
        Answer::Done(value) => Ok(value),
        Answer::NotBuffer(found) => Err(Error::NotAnArrayBuffer { engine: NAME, found }),
        Answer::Threw { name, message, stack } => {
            Err(thrown(&name).unwrap_or_else(|| ScriptError::new(NAME, message, stack).into()))
        }
    }
}

fn misunderstood() -> Error {
    Error::EngineFailed { engine: NAME, attempted: "understand a worker" }
}

/// The properties of a buffer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    pub(crate) byte_length: usize,
    pub(crate) max_byte_length: usize,
    pub(crate) detached: bool,
    pub(crate) resizable: bool,
    pub(crate) immutable: bool,
    pub(crate) shared: bool,
}

/// What a view shows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Seen {
    pub(crate) byte_offset: usize,
    pub(crate) byte_length: usize,
    pub(crate) contents: Vec<u8>,
}

/// What an object shows of its buffer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Shown {
    Buffer,
    View { element: String, byte_offset: usize, byte_length: usize },
    Detached,
    OutOfBounds,
}

impl From<Shown> for Window {
    fn from(shown: Shown) -> Self {
        match shown {
            Shown::Buffer => Window::Buffer,
            Shown::Detached => Window::Detached,
            Shown::OutOfBounds => Window::OutOfBounds,
            Shown::View { element, byte_offset, byte_length } => {
                let element = Element::ALL.into_iter().find(|known| format!("{known:?}Array") == element);
                Window::View { element, byte_offset, byte_length }
            }
        }
    }
}

/// What a host can do.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Abilities {
    pub(crate) version: String,
    pub(crate) resizable: bool,
    pub(crate) wasm: bool,
    pub(crate) generations: bool,
    pub(crate) max_byte_length: usize,
}
