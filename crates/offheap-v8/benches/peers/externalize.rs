//! Externalizing a buffer that script made, and one that is already over a store.

use std::hint::black_box;
use std::time::Instant;

use benches::{Row, row, timed_row};
use offheap_v8::BackingStoreExt;
use offheap_v8::offheap::{BackingStore, UniqueStore};
use offheap_v8::v8::{self, Local, PinScope};

use crate::isolate::{Prepared, in_isolate};

const BUFFERS: u32 = 1_000;

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
        row(name, 1.0, ours, || black_box(buffer).get_backing_store())
    })
}
