//! The isolate that a thread used last, so that it is found again without a look at the runtime.

use offheap::IsolateId;
use offheap_engine::memory::{EndedCount, LastIsolate};
use rquickjs::qjs;

/// Counts the runtimes that ended, after which another one can have the same address.
pub(super) static ENDED: EndedCount = EndedCount::new();

thread_local! {
    pub(super) static LAST: LastIsolate = const { LastIsolate::new() };
}

/// The isolate of a runtime that is freeing memory, if it is the one that this thread used last. It is not known any more
/// when the runtime itself is freed.
pub(super) fn releasing_isolate(runtime: *mut qjs::JSRuntime) -> Option<IsolateId> {
    LAST.with(|last| last.get(&ENDED, runtime.addr()))
}
