//! How errors of native code appear in JavaScript.

use std::fmt;

use crate::{Error, MapProblem};

/// The JavaScript error that an error of native code becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorClass {
    /// `TypeError`: the object cannot do this, now or ever.
    TypeError,
    /// `RangeError`: a number is out of range, or there is no memory, as for `new ArrayBuffer`.
    RangeError,
}

impl ErrorClass {
    /// The name of the constructor in script.
    pub fn name(self) -> &'static str {
        match self {
            ErrorClass::TypeError => "TypeError",
            ErrorClass::RangeError => "RangeError",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Error {
    /// The JavaScript error that this error becomes, on every engine.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::TooLarge { .. }
            | Error::OutOfMemory { .. }
            | Error::OverBudget { .. }
            | Error::OutOfRange { .. }
            | Error::InvalidAlignment { .. }
            | Error::MaximumTooSmall { .. }
            | Error::AboveMaximum { .. }
            | Error::SharedShrink { .. }
            | Error::Misaligned { .. }
            | Error::PartialElement { .. }
            | Error::Map { problem: MapProblem::OutOfRange { .. } | MapProblem::TooManyMaps { .. }, .. } => {
                ErrorClass::RangeError
            }
            Error::NotResizable { .. }
            | Error::EngineResizes { .. }
            | Error::EngineMayShrink { .. }
            | Error::SharedSlice { .. }
            | Error::Busy { .. }
            | Error::Exposed { .. }
            | Error::OtherIsolate { .. }
            | Error::HostMayWrite { .. }
            | Error::ReadOnlyInHost { .. }
            | Error::OneBuffer { .. }
            | Error::TooManyBuffers { .. }
            | Error::TooManyIsolates { .. }
            | Error::NotUnique { .. }
            | Error::OtherOwner { .. }
            | Error::OtherKind { .. }
            | Error::ReadOnly { .. }
            | Error::MappedSlice { .. }
            | Error::NullData { .. }
            | Error::Freed { .. }
            | Error::DoubleFree { .. }
            | Error::FreeInUse { .. }
            | Error::UnknownAddress { .. }
            | Error::AddressReused { .. }
            | Error::AlreadyManual { .. }
            | Error::Map { .. }
            | Error::ObserverSet => ErrorClass::TypeError,
        }
    }

    /// A name for programs and scripts, such as `"DOUBLE_FREE"`. It does not change when the message is improved. Errors
    /// with the same remedy share a code.
    pub fn code(&self) -> &'static str {
        match self {
            Error::TooLarge { .. } | Error::OutOfMemory { .. } | Error::OverBudget { .. } => "OUT_OF_MEMORY",
            Error::OutOfRange { .. } | Error::Map { problem: MapProblem::OutOfRange { .. }, .. } => "OUT_OF_RANGE",
            Error::Map { problem: MapProblem::TooManyMaps { .. }, .. } => "TOO_MANY_MAPS",
            Error::InvalidAlignment { .. } => "INVALID_ALIGNMENT",
            Error::MaximumTooSmall { .. } | Error::AboveMaximum { .. } | Error::SharedShrink { .. } => "INVALID_LENGTH",
            Error::NotResizable { .. } | Error::EngineResizes { .. } => "NOT_RESIZABLE",
            Error::Misaligned { .. } => "MISALIGNED",
            Error::PartialElement { .. } => "PARTIAL_ELEMENT",
            Error::Busy { .. } | Error::EngineMayShrink { .. } => "BUSY",
            Error::Exposed { .. } | Error::OtherIsolate { .. } | Error::OneBuffer { .. } => "EXPOSED",
            Error::TooManyBuffers { .. } => "TOO_MANY_BUFFERS",
            Error::TooManyIsolates { .. } => "TOO_MANY_ISOLATES",
            Error::NotUnique { .. } => "NOT_UNIQUE",
            Error::OtherOwner { .. } => "OTHER_OWNER",
            Error::OtherKind { .. } => "OTHER_KIND",
            Error::HostMayWrite { .. } => "HOST_MAY_WRITE",
            Error::ReadOnly { .. } | Error::ReadOnlyInHost { .. } => "READ_ONLY",
            Error::SharedSlice { .. } | Error::MappedSlice { .. } => "NO_SLICE",
            Error::NullData { .. } => "NULL_DATA",
            Error::Freed { .. } => "FREED",
            Error::DoubleFree { .. } => "DOUBLE_FREE",
            Error::FreeInUse { .. } => "FREE_IN_USE",
            Error::UnknownAddress { .. } | Error::AddressReused { .. } => "UNKNOWN_ADDRESS",
            Error::AlreadyManual { .. } => "ALREADY_MANUAL",
            Error::Map { .. } => "MAP",
            Error::ObserverSet => "OBSERVER_SET",
        }
    }
}
