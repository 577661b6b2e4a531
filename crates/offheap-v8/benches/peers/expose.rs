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

/// The number of buffers before V8 is told to collect. It may collect earlier.
const BUFFERS: u32 = 1_000;

pub(crate) fn expose(name: &'static str, byte_length: usize) -> Row {
    let store = BackingStore::from(UniqueStore::from_owner(vec![1_u8; byte_length]).expect("room"));
    let arc = Arc::new(vec![1_u8; byte_length]);
    let row = in_isolate(|scope| {
        // Both use one isolate, and each collects at the end of its turn. Each buffer has its own scope, so it can be
        // collected at once.
        let scope = std::cell::RefCell::new(scope);
        let ours = || {
            turn(&mut scope.borrow_mut(), |scope| {
                assert!(black_box(&store).expose(scope).is_ok(), "room for a buffer");
            })
        };
        timed_row(name, 1.15, ours, || {
            turn(&mut scope.borrow_mut(), |scope| {
                bare::expose(scope, black_box(&arc));
            })
        })
    });
    assert_eq!((store.reference_count(), Arc::strong_count(&arc)), (1, 1), "each buffer released its reference");
    row
}

/// Makes buffers, drops them, and collects: nanoseconds per buffer.
fn turn(scope: &mut PinScope<'_, '_>, mut expose: impl FnMut(&mut PinScope<'_, '_>)) -> f64 {
    let begin = Instant::now();
    for _ in 0..BUFFERS {
        v8::scope!(let inner, scope);
        expose(inner);
    }
    scope.low_memory_notification();
    begin.elapsed().as_nanos() as f64 / f64::from(BUFFERS)
}
