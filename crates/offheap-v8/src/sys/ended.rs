//! When the stores that an isolate leaves are looked at: V8's buffers let go of their memory after the isolate's slots were
//! dropped.

use std::sync::Arc;

use offheap::adapter::IsolateRegistration;
use offheap_engine::memory::EngineMadeStores;

use super::block::{Block, ENDED};

/// In a slot of an isolate that is being disposed of: what is put there then is dropped once V8 is done.
struct Disposed(Option<(EngineMadeStores<Block>, Arc<IsolateRegistration>)>);

/// Takes over what an isolate leaves. The crate drops its slots at this moment.
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
