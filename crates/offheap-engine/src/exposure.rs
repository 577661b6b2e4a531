//! Whether an engine got the memory itself or a copy of it.

use std::fmt;

/// How an engine got a store's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a copy does not share later changes"]
pub enum Exposure {
    /// The buffer is over the store's own memory. It may have one length although the store grows, where the engine grows
    /// only its own memory: [`BufferState::resizable`](crate::BufferState) tells, and exposing the store again gives a
    /// longer buffer.
    External,
    /// The buffer is over a copy, made by the engine: later changes on either side are not seen on the other.
    Copied {
        /// Why.
        reason: CopyReason,
    },
}

impl Exposure {
    /// Whether the buffer is over the store's own memory.
    pub fn is_external(self) -> bool {
        self == Exposure::External
    }
}

/// Why an engine got a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyReason {
    /// The memory is read-only, and nothing keeps script in this context from writing to an immutable buffer.
    ImmutableNotEnforced,
    /// The memory begins at an address that the engine's elements do not allow.
    Misaligned,
    /// The memory is resizable, and the engine resizes only its own memory.
    Resizable,
}

impl fmt::Display for CopyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CopyReason::ImmutableNotEnforced => {
                "the memory is read-only and this context does not enforce immutable buffers; use an `Isolate`"
            }
            CopyReason::Misaligned => "the memory begins at no multiple of 8; align it to 8",
            CopyReason::Resizable => {
                "the memory is resizable and the engine resizes its own alone; let it make the buffer, and externalize that"
            }
        })
    }
}
