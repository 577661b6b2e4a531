//! Decides when to look at the stores that an ended isolate leaves: V8's buffers release their memory after the
//! isolate's slots were dropped.

use std::sync::Arc;

use offheap::adapter::IsolateRegistration;
use offheap_engine::memory::EngineMadeStores;

use super::block::{Block, ENDED};

/// Sits in a slot of an isolate during its disposal. A slot that is set then is dropped after V8 has disposed of the
/// isolate.
struct Disposed(Option<(EngineMadeStores<Block>, Arc<IsolateRegistration>)>);

/// Takes over the stores of an ending isolate. The crate `v8` is dropping the isolate's slots when this is called.
pub(super) fn leave(
    isolate: &mut v8::Isolate,
    stores: EngineMadeStores<Block>,
    registration: Arc<IsolateRegistration>,
) {
    isolate.set_slot(Disposed(Some((stores, registration))));
}

impl Drop for Disposed {
    fn drop(&mut self) {
        if let Some((stores, registration)) = self.0.take() {
            ENDED.leave(stores, registration);
        }
    }
}
