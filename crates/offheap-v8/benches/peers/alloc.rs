//! The cost of script's own buffers: our allocator compared with V8's.

use std::time::Instant;

use benches::{Row, timed_row};

use crate::isolate::Prepared;

const BUFFERS: u32 = 20_000;
/// Each buffer is written, as script would do, and then dropped.
const SOURCE: &str = "(count) => { for (let i = 0; i < count; i++) new Uint8Array(new ArrayBuffer(64))[63] = i; }";

pub(crate) fn js_alloc_64(name: &'static str) -> Row {
    let (mut ours, mut peer) = (Prepared::ours(SOURCE), Prepared::theirs(SOURCE));
    timed_row(name, 1.15, || turn(&mut ours), || turn(&mut peer))
}

fn turn(looped: &mut Prepared) -> f64 {
    let begin = Instant::now();
    looped.call(BUFFERS, |_, _| ());
    begin.elapsed().as_nanos() as f64 / f64::from(BUFFERS)
}
