//! Externalizing a buffer that script made, and one that is already over a store.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use benches::{Row, row, timed_row};
use offheap_v8::BackingStoreExt;
use offheap_v8::offheap::{BackingStore, UniqueStore};
use offheap_v8::v8::{self, Local, PinScope};

use crate::bare;
use crate::expose::Exposed;
use crate::isolate::{Prepared, in_isolate};
use crate::threads::{Side, Worker};

const BUFFERS: u32 = 1_000;
/// How often [`many`] externalizes each buffer in one turn.
const LAPS: u32 = 20;

const SOURCE: &str = "(count) => Array.from({ length: count }, () => new ArrayBuffer(64))";

/// In an isolate of ours, whose buffers are over our memory from the start, and in one with V8's allocator.
pub(crate) fn first(name: &'static str) -> Row {
    let (mut ours, mut peer) = (Prepared::ours(SOURCE), Prepared::theirs(SOURCE));
    let by_us = || {
        turn(&mut ours, |scope, buffer| {
            drop(black_box(BackingStore::externalize(scope, buffer.into()).expect("a buffer of script")));
        })
    };
    timed_row(name, 2.5, by_us, || turn(&mut peer, |_, buffer| drop(black_box(buffer.get_backing_store()))))
}

/// Script makes buffers, which is not measured. Then each is externalized once and the reference dropped. Returns
/// nanoseconds per buffer.
fn turn(
    make: &mut Prepared,
    mut externalize: impl for<'s> FnMut(&mut PinScope<'s, '_>, Local<'s, v8::ArrayBuffer>),
) -> f64 {
    make.call(BUFFERS, |scope, made| {
        let made: Local<'_, v8::Array> = made.try_into().expect("an array");
        let buffers: Vec<Local<'_, v8::ArrayBuffer>> = (0..BUFFERS)
            .map(|index| made.get_index(scope, index).and_then(|value| value.try_into().ok()).expect("an ArrayBuffer"))
            .collect();
        let begin = Instant::now();
        for &buffer in &buffers {
            externalize(scope, buffer);
        }
        begin.elapsed().as_nanos() as f64 / f64::from(BUFFERS)
    })
}

pub(crate) fn again(name: &'static str) -> Row {
    let store = BackingStore::from(UniqueStore::from_owner(vec![1_u8; 64]).expect("room"));
    in_isolate(|scope| {
        let buffer = store.expose(scope).expect("room for a buffer");
        let ours = || assert!(BackingStore::externalize(scope, black_box(buffer).into()).is_ok(), "our own store");
        row(name, 1.3, ours, || black_box(buffer).get_backing_store())
    })
}

/// Set while the other thread of [`many`] makes and drops buffers.
static IS_BUSY: AtomicBool = AtomicBool::new(false);

/// Externalizes a thousand buffers, one after the other, while another thread makes buffers over other memory and drops
/// them: over stores while our code is measured, over `Arc`s while the peer's is.
pub(crate) fn many(name: &'static str) -> Row {
    let other = Worker::new(|scope, turns, done| {
        let exposed: Vec<Exposed> = (0..64).map(|_| Exposed::new(64)).collect();
        for side in turns {
            done.send(()).expect("the bench waits");
            while IS_BUSY.load(Ordering::Relaxed) {
                exposed.iter().for_each(|exposed| exposed.expose(scope, side));
            }
            scope.low_memory_notification();
            done.send(()).expect("the bench waits");
        }
    });
    let beside = |side, work: &mut dyn FnMut()| {
        IS_BUSY.store(true, Ordering::Relaxed);
        other.begin(side);
        other.wait();
        let begin = Instant::now();
        work();
        let taken = begin.elapsed();
        IS_BUSY.store(false, Ordering::Relaxed);
        other.wait();
        taken.as_nanos() as f64 / f64::from(BUFFERS * LAPS)
    };
    let stores: Vec<BackingStore> =
        (0..BUFFERS).map(|_| UniqueStore::from_owner(vec![1_u8; 64]).expect("room").into()).collect();
    let arcs: Vec<Arc<Vec<u8>>> = (0..BUFFERS).map(|_| Arc::new(vec![1_u8; 64])).collect();
    in_isolate(|scope| {
        let ours: Vec<_> = stores.iter().map(|store| store.expose(scope).expect("room for a buffer")).collect();
        let peers: Vec<_> = arcs.iter().map(|arc| bare::expose(scope, arc)).collect();
        let mut by_us = || {
            for &buffer in std::iter::repeat_n(&ours, LAPS as usize).flatten() {
                assert!(BackingStore::externalize(scope, black_box(buffer).into()).is_ok(), "our own store");
            }
        };
        let mut by_peer = || {
            for &buffer in std::iter::repeat_n(&peers, LAPS as usize).flatten() {
                drop(black_box(buffer).get_backing_store());
            }
        };
        timed_row(name, 2.0, || beside(Side::Ours, &mut by_us), || beside(Side::Peer, &mut by_peer))
    })
}
