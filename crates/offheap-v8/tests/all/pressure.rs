//! How much memory V8 believes that it keeps, and how long what it let go of stays.

use offheap_v8::offheap::{BackingStore, WeakStore};
use offheap_v8::{BackingStoreExt, v8};

use crate::common::in_own_scope;

#[test]
fn b13_dead_buffers_of_many_mebibytes_go_however_many_stores_there_are() {
    const BUFFERS: usize = 40;
    in_own_scope(|scope| {
        let externalize = |scope: &mut v8::PinScope<'_, '_>, byte_length| {
            let buffer = v8::ArrayBuffer::new(scope, byte_length);
            let store = BackingStore::from_js(scope, buffer.into()).unwrap();
            (v8::Global::new(scope, buffer), store)
        };
        let small: Vec<_> = (0..70).map(|_| externalize(scope, 100)).collect();
        let mut large: Vec<WeakStore> = Vec::new();
        for _ in 0..BUFFERS {
            {
                v8::scope!(let scope, scope);
                large.push(externalize(scope, 64 << 20).1.downgrade());
            }
            // V8 lets go of it; nothing of ours is told.
            scope.low_memory_notification();
        }
        let alive = large.iter().filter(|store| store.upgrade().is_some()).count();
        assert!(alive <= 3, "{alive} of {BUFFERS} dead buffers have their memory");
        assert!(small.iter().all(|(_, store)| store.exposure().is_some()));
    });
}
