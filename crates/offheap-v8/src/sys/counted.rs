//! The limit on what V8 counts as external memory, where the program started V8.
//!
//! V8 ends the process where its count changes by 32 GiB at once, and a collection takes away at once what all dead
//! buffers had. `start` switches that check off. Where the program started V8, all that is counted together stays below it.

use offheap_engine::memory::ByteLimit;

/// The most bytes in one buffer of V8 (`ArrayBuffer::kMaxByteLength` on 64 bits, without the sandbox).
pub(super) const MAX_BYTE_LENGTH: usize = (1 << 53) - 1;

/// The most by which the count may change where nobody set `--external-memory-max-reasonable-size`.
const MAX_CHANGE: usize = (32 << 30) - 1;

/// What V8 counts. Before the first isolate it is known for good who started V8.
pub(super) static COUNTED: ByteLimit = ByteLimit::new(MAX_CHANGE);

/// The most bytes in one buffer that V8 counts.
#[inline]
pub(crate) fn max_byte_length() -> usize {
    COUNTED.get().unwrap_or(MAX_BYTE_LENGTH)
}
