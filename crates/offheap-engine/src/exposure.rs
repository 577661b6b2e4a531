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
    /// Script made the memory, and the host may free it at any time: it gives native code no reference to it.
    HostFrees,
    /// The host has no buffers over memory of native code, so it allocates each buffer itself.
    NoExternalMemory,
    /// The host has no SharedArrayBuffers over memory of native code, so it allocates each of them itself.
    NoExternalSharedMemory,
    /// The host frees the memory of a worker's buffers when the worker ends, even if another thread has them by then.
    WorkerEnds,
    /// Much memory went out in this turn of the event loop, and the host frees none of it before the next turn.
    LargeTurn,
    /// Nobody else has the few bytes, and the host copies them faster than it makes and frees a buffer over memory of native code.
    Small,
}

impl CopyReason {
    /// The reason in words, with what to do if the copy is too expensive.
    pub fn text(self) -> &'static str {
        match self {
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
            CopyReason::HostFrees => {
                "script made the memory, and the host may free it at any time; pass a buffer over memory of a store"
            }
            CopyReason::NoExternalMemory => {
                "the host has no buffers over memory of native code; let the host allocate the buffer and write into it"
            }
            CopyReason::NoExternalSharedMemory => {
                "the host has no SharedArrayBuffers over memory of native code; use memory that is not shared"
            }
            CopyReason::WorkerEnds => {
                "the host frees the memory when its worker ends, even if another thread has the buffer; make the buffer on the \
                 main thread, or use shared memory, which becomes a SharedArrayBuffer"
            }
            CopyReason::LargeTurn => {
                "buffers over more than 64 MiB were made in this turn of the event loop, and the host frees none before the \
                 next turn; wait for a timer in between, or make fewer buffers"
            }
            CopyReason::Small => {
                "nobody else has the few bytes, and copying them is faster here; keep a reference to the store to share them"
            }
        }
    }
}

impl fmt::Display for CopyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
