//! Making and dropping a buffer over existing memory.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use benches::{Row, timed_row};
use offheap_v8::BackingStoreExt;
use offheap_v8::offheap::{BackingStore, UniqueStore};
use offheap_v8::v8::{self, PinScope};

use crate::bare;
use crate::isolate::in_isolate;
use crate::threads::Side;

/// The number of buffers before V8 is told to collect. It may collect earlier.
pub(crate) const BUFFERS: u32 = 1_000;
pub(crate) const GOAL: f64 = 1.15;

pub(crate) fn expose(name: &'static str, byte_length: usize) -> Row {
    let exposed = Exposed::new(byte_length);
    in_isolate(|scope| {
        // Both use one isolate, and each collects at the end of its turn.
        let scope = std::cell::RefCell::new(scope);
        let turn = |side| exposed.turn(&mut scope.borrow_mut(), side);
        timed_row(name, GOAL, || turn(Side::Ours), || turn(Side::Peer))
    })
}

/// The memory of both sides.
pub(crate) struct Exposed {
    store: BackingStore,
    arc: Arc<Vec<u8>>,
}

impl Exposed {
    pub(crate) fn new(byte_length: usize) -> Self {
        let store = BackingStore::from(UniqueStore::from_owner(vec![1_u8; byte_length]).expect("room"));
        Exposed { store, arc: Arc::new(vec![1_u8; byte_length]) }
    }

    /// Makes a buffer and drops it. Each buffer has its own scope, so it can be collected at once.
    pub(crate) fn expose(&self, scope: &mut PinScope<'_, '_>, side: Side) {
        v8::scope!(let scope, scope);
        match side {
            Side::Ours => assert!(black_box(&self.store).expose(scope).is_ok(), "room for a buffer"),
            Side::Peer => {
                bare::expose(scope, black_box(&self.arc));
            }
        }
    }

    /// Makes buffers, drops them, and collects: nanoseconds per buffer.
    pub(crate) fn turn(&self, scope: &mut PinScope<'_, '_>, side: Side) -> f64 {
        let begin = Instant::now();
        for _ in 0..BUFFERS {
            self.expose(scope, side);
        }
        scope.low_memory_notification();
        begin.elapsed().as_nanos() as f64 / f64::from(BUFFERS)
    }
}

impl Drop for Exposed {
    /// The last turn has ended with a collection.
    fn drop(&mut self) {
        let counts = (self.store.reference_count(), Arc::strong_count(&self.arc));
        assert_eq!(counts, (1, 1), "each buffer released its reference");
    }
}
