//! `Exposure`: whether an engine got the memory itself or a copy.

use std::fmt;

/// How an engine got a store's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a copy does not share later changes"]
pub enum Exposure {
    /// The buffer is over the store's own memory. If the store can grow and the engine can grow only its own
    /// memory, the buffer has a fixed length; [`BufferState::resizable`](crate::BufferState) says so. Exposing the
    /// store again gives a longer buffer.
    External,
    /// The buffer is over a copy. Later changes to one are not seen in the other.
    Copied {
        /// The reason for the copy.
        reason: CopyReason,
    },
}

impl Exposure {
    /// Whether the buffer is over the store's own memory.
    pub fn is_external(self) -> bool {
        self == Exposure::External
    }
}

/// The reason why an engine got a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyReason {
    /// The memory is read-only, and this context does not keep script from writing to immutable buffers.
    ImmutableNotEnforced,
    /// The memory is read-only, and the host's own functions, such as `fs.readSync`, write into immutable buffers.
    HostWrites,
    /// An addon lent the memory to the host, and frees it when its environment ends, whoever still uses it
    /// (`napi_create_external_arraybuffer`, `napi_create_external_buffer`).
    OfAnotherAddon,
    /// The memory begins at an address that the engine does not allow for its elements.
    Misaligned,
    /// The memory is resizable, and the engine resizes only its own memory.
    Resizable,
    /// Script may make the buffer shorter, also on another thread, to which the host moves it without notice.
    ScriptResizes,
}

impl fmt::Display for CopyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CopyReason::ImmutableNotEnforced => {
                "the memory is read-only and this context does not enforce immutable buffers; use an `Isolate`"
            }
            CopyReason::HostWrites => {
                "the memory is read-only and the host's own functions write into immutable buffers; expose memory that may be \
                 written"
            }
            CopyReason::OfAnotherAddon => {
                "the memory is another addon's, which frees it when its environment ends; pass a buffer that script made"
            }
            CopyReason::Misaligned => "the address of the memory is not a multiple of 8; align it to 8",
            CopyReason::ScriptResizes => {
                "script may make the buffer shorter on another thread; pass a buffer without maxByteLength, or a \
                 SharedArrayBuffer"
            }
            CopyReason::Resizable => {
                "the memory is resizable, and the engine resizes only its own; let it make the buffer and externalize that"
            }
        })
    }
}
