//! A `Ctx` as the proof that guards need.

use offheap::IsolateId;
use offheap_engine::HasIsolate;
use rquickjs::Ctx;

use super::state;
use crate::Error;

/// A proof that this thread has the runtime of a context.
#[derive(Clone, Copy)]
pub(crate) struct OnThread<'a, 'js>(pub(crate) &'a Ctx<'js>);

// SAFETY: I-BORROW: code that has a `Ctx` has the runtime, on its thread. rquickjs lends it under its lock. SAFETY.md
// says that a program must not use it on another thread at the same time.
unsafe impl HasIsolate for OnThread<'_, '_> {
    fn isolate(&self) -> Result<IsolateId, Error> {
        state::isolate_id(self.0)
    }
}
