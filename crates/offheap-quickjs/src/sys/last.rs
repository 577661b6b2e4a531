//! The isolate that a thread used last, so that it is found again without a look at the runtime.

use offheap_engine::memory::{EndedCount, LastIsolate};

/// Counts the runtimes that ended, after which another one can have the same address.
pub(super) static ENDED: EndedCount = EndedCount::new();

thread_local! {
    pub(super) static LAST: LastIsolate = const { LastIsolate::new() };
}
