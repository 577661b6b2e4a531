//! What `nativeModule` throws.

use offheap::Error;

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
pub(crate) struct Failure {
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
    pub(crate) fn class_name(&self) -> (&'static str, Option<&'static str>) {
        match self.class {
            Class::Type => ("TypeError", None),
            Class::Range => ("RangeError", None),
            Class::Plain => ("Error", None),
            Class::Memory(code) => ("NativeMemoryError", Some(code)),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let class = match error {
            Error::OutOfRange { .. } => Class::Range,
            Error::TooLarge { .. } | Error::OutOfMemory { .. } | Error::OverBudget { .. } => {
                Class::Memory("OUT_OF_MEMORY")
            }
            Error::DoubleFree { .. } => Class::Memory("DOUBLE_FREE"),
            Error::FreeInUse { .. } => Class::Memory("FREE_IN_USE"),
            Error::Freed { .. } => Class::Memory("FREED"),
            Error::ReadOnly { .. } => Class::Memory("READ_ONLY"),
            Error::TooManyBuffers { .. } => Class::Memory("TOO_MANY_BUFFERS"),
            Error::OneBuffer { .. } | Error::Exposed { .. } | Error::OtherIsolate { .. } => Class::Memory("EXPOSED"),
            _ => Class::Memory("BUSY"),
        };
        Failure { class, message: error.to_string() }
    }
}

impl From<offheap_engine::Error> for Failure {
    fn from(error: offheap_engine::Error) -> Self {
        use offheap_engine::Error as Engine;
        let class = match error {
            Engine::Memory(error) => return error.into(),
            Engine::TooLargeForEngine { .. } | Engine::InvalidLength { .. } | Engine::Misaligned { .. } => Class::Range,
            Engine::Script { .. } | Engine::EngineFailed { .. } => Class::Memory("OUT_OF_MEMORY"),
            _ => Class::Type,
        };
        Failure { class, message: error.to_string() }
    }
}
