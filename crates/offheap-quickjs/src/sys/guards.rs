//! A `Ctx` as the proof that guards need.

use offheap::IsolateId;
use offheap_engine::HasIsolate;
use rquickjs::Ctx;

use super::state;
use crate::Error;

/// A proof that this thread has the runtime of a context.
#[derive(Clone, Copy)]
pub(crate) struct OnThread<'a, 'js>(pub(crate) &'a Ctx<'js>);

// SAFETY: I-BORROW: code that has a `Ctx` has the runtime, on its thread. rquickjs lends it under its lock, and SAFETY.md
// assumes that a program uses it on no other thread meanwhile.
unsafe impl HasIsolate for OnThread<'_, '_> {
    fn isolate(&self) -> Result<IsolateId, Error> {
        state::isolate_id(self.0)
    }
}
