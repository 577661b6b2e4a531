//! The limit on V8's count of external memory, for programs that started V8 themselves.
//!
//! V8 ends the process if its count changes by 32 GiB at once, and a collection subtracts the bytes of all dead buffers
//! at once. `start` switches that check off. If the program started V8, the sum of all counted bytes stays below the
//! limit.

use offheap_engine::memory::ByteLimit;

/// The largest length of a buffer of V8 in bytes (`ArrayBuffer::kMaxByteLength` on 64 bits, without the sandbox).
pub(super) const MAX_BYTE_LENGTH: usize = (1 << 53) - 1;

/// The largest change of the count that V8 accepts, unless `--external-memory-max-reasonable-size` is set.
const MAX_CHANGE: usize = (32 << 30) - 1;

/// The bytes that V8 counts. Before the first isolate exists, it is decided who started V8.
pub(super) static COUNTED: ByteLimit = ByteLimit::new(MAX_CHANGE);

/// The largest length in bytes of a buffer that V8 counts.
#[inline]
pub(crate) fn max_byte_length() -> usize {
    COUNTED.get().unwrap_or(MAX_BYTE_LENGTH)
}
