//! The errors that `nativeModule` throws.

use offheap::{Error, ErrorClass};

/// The class of an error in script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A value of the wrong type, or an operation that the object does not have.
    Type,
    /// A number that is out of range.
    Range,
    /// A plain `Error`.
    Plain,
    /// A `NativeMemoryError` with this `code`.
    Memory(&'static str),
}

/// An error for script: its class, its code where it has one, and its message.
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

    /// The name of its class in script: `TypeError`, `RangeError`, `Error` or `NativeMemoryError`.
    pub fn class(&self) -> &'static str {
        match self.class {
            Class::Type => "TypeError",
            Class::Range => "RangeError",
            Class::Plain => "Error",
            Class::Memory(_) => "NativeMemoryError",
        }
    }

    /// The `code` of a `NativeMemoryError`.
    pub fn code(&self) -> Option<&'static str> {
        if let Class::Memory(code) = self.class { Some(code) } else { None }
    }

    /// Its message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The codes of errors that script sees as a `NativeMemoryError`; `offheap.d.ts` says what they mean.
const MEMORY_CODES: [&str; 8] =
    ["DOUBLE_FREE", "FREE_IN_USE", "FREED", "READ_ONLY", "OUT_OF_MEMORY", "BUSY", "EXPOSED", "TOO_MANY_BUFFERS"];

/// The class in script of a native error: a `NativeMemoryError` for the codes above, and otherwise JavaScript's own.
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
            // An engine throws by itself in a primitive only where it has no memory.
            Engine::Script { .. } | Engine::EngineFailed { .. } => Class::Memory("OUT_OF_MEMORY"),
            _ => class_of(error.class(), error.code()),
        };
        Failure { class, message: error.to_string() }
    }
}
