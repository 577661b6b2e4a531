//! What `nativeModule` throws.

use offheap::{Error, ErrorClass};

/// The class of an error that script gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A value of the wrong sort, or something that the object does not do.
    Type,
    /// A number that is not possible here.
    Range,
    /// An `Error` of no other class.
    Plain,
    /// A `NativeMemoryError` with this `code`.
    Memory(&'static str),
}

/// An error for script: in which class, and in which words.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub(crate) class: Class,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn type_error(message: impl Into<String>) -> Self {
        Failure { class: Class::Type, message: message.into() }
    }

    pub(crate) fn range_error(message: impl Into<String>) -> Self {
        Failure { class: Class::Range, message: message.into() }
    }

    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Failure { class: Class::Plain, message: message.into() }
    }

    pub(crate) fn memory(code: &'static str, message: impl Into<String>) -> Self {
        Failure { class: Class::Memory(code), message: message.into() }
    }

    /// The name of the class in script, and the code where it has one.
    pub fn class_name(&self) -> (&'static str, Option<&'static str>) {
        match self.class {
            Class::Type => ("TypeError", None),
            Class::Range => ("RangeError", None),
            Class::Plain => ("Error", None),
            Class::Memory(code) => ("NativeMemoryError", Some(code)),
        }
    }
}

/// The codes of `NativeMemoryError`, of those that errors have; `offheap.d.ts` tells what they mean.
const MEMORY_CODES: [&str; 8] =
    ["DOUBLE_FREE", "FREE_IN_USE", "FREED", "READ_ONLY", "OUT_OF_MEMORY", "BUSY", "EXPOSED", "TOO_MANY_BUFFERS"];

/// The class of an error that native code has: one of memory where its code says so, and otherwise JavaScript's own.
fn class_of(class: ErrorClass, code: &'static str) -> Class {
    match class {
        _ if MEMORY_CODES.contains(&code) => Class::Memory(code),
        ErrorClass::RangeError => Class::Range,
        _ => Class::Type,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { class: class_of(error.class(), error.code()), message: error.to_string() }
    }
}

impl From<offheap_engine::Error> for Failure {
    fn from(error: offheap_engine::Error) -> Self {
        use offheap_engine::Error as Engine;
        let class = match error {
            // What an engine throws in a primitive is that it has no memory.
            Engine::Script { .. } | Engine::EngineFailed { .. } => Class::Memory("OUT_OF_MEMORY"),
            _ => class_of(error.class(), error.code()),
        };
        Failure { class, message: error.to_string() }
    }
}
