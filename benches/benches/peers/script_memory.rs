//! Memory that QuickJS allocates: read, externalized, and sent back and forth.
#![allow(unsafe_code, reason = "the peers are unsafe functions of rquickjs, and QuickJS's C interface")]

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use benches::{Row, row, timed_row};
use offheap::{BackingStore, UniqueStore};
use offheap_quickjs::rquickjs::{ArrayBuffer, Context, Ctx, Function, Runtime, TypedArray, Value, qjs};
use offheap_quickjs::{BackingStoreExt, Handle, Isolate, JsArrayBuffer, ScopeExt, detach};

const READ_BYTES: usize = 64 << 20;
/// That of a buffer full of ones.
const SUM: u64 = 0x0101_0101_0101_0101_u64.wrapping_mul(READ_BYTES as u64 / 8);
const TAKEN_BYTES: usize = 1 << 20;
/// The buffers that are externalized in one turn.
const TAKEN: usize = 16;
const SENT_FLOATS: usize = 4 << 20;

fn peer_context() -> Context {
    Context::full(&Runtime::new().expect("room for a runtime")).expect("room for a context")
}

fn source(byte_length: usize) -> String {
    format!("new Uint8Array({byte_length}).fill(1).buffer")
}

fn made_by_script(isolate: &mut Isolate, byte_length: usize) -> Handle<JsArrayBuffer> {
    isolate.enter(|scope| scope.eval_buffer(&source(byte_length)).expect("room for a buffer").into_handle())
}

/// The sum of the bytes' 64-bit words, which is as fast as the memory can be read.
fn sum(bytes: &[u8]) -> u64 {
    let (words, _) = black_box(bytes).as_chunks();
    words.iter().fold(0, |sum: u64, &word| sum.wrapping_add(u64::from_ne_bytes(word)))
}

fn read_by_guard(isolate: &mut Isolate, handle: &Handle<JsArrayBuffer>) -> u64 {
    isolate.enter(|scope| sum(&scope.bytes(handle).expect("memory that script may lend")))
}

fn read_by_peer(buffer: &ArrayBuffer<'_>) -> u64 {
    // SAFETY: script does not run while the slice lives.
    sum(unsafe { buffer.as_bytes() }.expect("not detached"))
}

/// Nanoseconds of `step`.
fn timed<R>(step: impl FnOnce() -> R) -> f64 {
    let begin = Instant::now();
    black_box(step());
    begin.elapsed().as_nanos() as f64
}

/// Sums a buffer that script has just made, which is not part of the time.
pub(crate) fn read(name: &'static str) -> Row {
    let mut isolate = Isolate::new().expect("room for an isolate");
    let ours = || {
        let handle = made_by_script(&mut isolate, READ_BYTES);
        timed(|| assert_eq!(read_by_guard(&mut isolate, &handle), SUM))
    };
    let context = peer_context();
    let peer = || {
        context.with(|ctx| {
            let buffer: ArrayBuffer<'_> = ctx.eval(source(READ_BYTES)).expect("room for a buffer");
            timed(|| assert_eq!(read_by_peer(&buffer), SUM))
        })
    };
    timed_row(name, 1.05, ours, peer)
}

/// One line about the peak memory of making and summing such a buffer.
pub(crate) fn peak_of_reading() -> String {
    let what = "peak memory of reading 64 MiB of QuickJS's";
    let ours = peak_kib(|| {
        let mut isolate = Isolate::new().expect("room for an isolate");
        let handle = made_by_script(&mut isolate, READ_BYTES);
        read_by_guard(&mut isolate, &handle);
    });
    let peer = peak_kib(|| {
        peer_context().with(|ctx| read_by_peer(&ctx.eval(source(READ_BYTES)).expect("room for a buffer")));
    });
    match ours.zip(peer) {
        None => format!("{what}: NOT MEASURED: the kernel does not reset VmHWM"),
        Some((ours, peer)) => {
            let ratio = ours as f64 / peer as f64;
            let verdict = if ratio <= 1.05 { "reached" } else { "MISSED" };
            format!("{what}: {} MiB, peer {} MiB, ratio {ratio:.2}, to reach 1.05: {verdict}", ours >> 10, peer >> 10)
        }
    }
}

/// The largest resident memory during `work`.
fn peak_kib(work: impl FnOnce()) -> Option<u64> {
    fs::write("/proc/self/clear_refs", "5").ok()?;
    work();
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The first externalize of buffers that script made, compared with a copy of their bytes.
pub(crate) fn externalize_first(name: &'static str) -> Row {
    let mut isolate = Isolate::new().expect("room for an isolate");
    let ours = || {
        let handles: Vec<_> = (0..TAKEN).map(|_| made_by_script(&mut isolate, TAKEN_BYTES)).collect();
        let mut stores = Vec::with_capacity(TAKEN);
        let taken = isolate.enter(|scope| {
            timed(|| stores.extend(handles.iter().map(|handle| scope.externalize(handle).expect("room for a store"))))
        });
        let mut byte = [0];
        stores[TAKEN - 1].copy_to_slice(TAKEN_BYTES - 1, &mut byte).expect("a byte of it");
        assert_eq!(byte, [1]);
        taken / TAKEN as f64
    };
    let context = peer_context();
    let peer = || {
        context.with(|ctx| {
            let make = || ctx.eval::<ArrayBuffer<'_>, _>(source(TAKEN_BYTES)).expect("room for a buffer");
            let buffers: Vec<_> = (0..TAKEN).map(|_| make()).collect();
            let mut copies = Vec::with_capacity(TAKEN);
            // SAFETY: script does not run while the slice lives.
            let copy = |buffer: &ArrayBuffer<'_>| unsafe { buffer.as_bytes() }.expect("not detached").to_vec();
            timed(|| copies.extend(buffers.iter().map(copy))) / TAKEN as f64
        })
    };
    timed_row(name, 0.1, ours, peer)
}

/// The store of a buffer that is over one, compared with code that knows the `Arc` behind a buffer.
pub(crate) fn externalize_again(name: &'static str) -> Row {
    let store = crate::store_of(vec![1; 4096]);
    let arc = Arc::new(vec![1_u8; 4096]);
    peer_context().with(|ctx| {
        let buffer = store.expose(&ctx).expect("room for a buffer").into_value();
        let ours = || BackingStore::externalize(&ctx, black_box(&buffer)).expect("over a store");
        row(name, 1.5, ours, || externalize_by_hand(&ctx, black_box(&buffer), black_box(&arc)))
    })
}

fn externalize_by_hand<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>, arc: &Arc<Vec<u8>>) -> (*mut u8, Arc<Vec<u8>>) {
    let mut byte_length = 0;
    // SAFETY: a live context and value, and a place for the length.
    let data = unsafe { qjs::JS_GetArrayBuffer(ctx.as_raw().as_ptr(), &mut byte_length, buffer.as_raw()) };
    (data, Arc::clone(arc))
}

const CHANGE: &str = "(floats) => { floats[1] += 1; return floats[1] }";

/// A `Vec<f32>` to script, which changes one element, and back.
pub(crate) fn round_trip(name: &'static str) -> Row {
    let mut isolate = Isolate::new().expect("room for an isolate");
    let context = peer_context();
    let (mut vec, mut copied) = (vec![1.0_f32; SENT_FLOATS], vec![1.0_f32; SENT_FLOATS]);
    let row = isolate.enter(|scope| {
        scope.with_ctx(|ctx| {
            context.with(|peer| {
                let (change, peer_change) = (function(&ctx), function(&peer));
                let ours = || vec = sent(&ctx, &change, std::mem::take(&mut vec));
                row(name, 0.01, ours, || copied = sent_by_copies(&peer, &peer_change, &copied))
            })
        })
    });
    assert!(vec[1] > 1.0 && copied[1] > 1.0 && vec.len() == SENT_FLOATS && copied.len() == SENT_FLOATS);
    row
}

fn function<'js>(ctx: &Ctx<'js>) -> Function<'js> {
    ctx.eval(CHANGE).expect("a function")
}

fn sent<'js>(ctx: &Ctx<'js>, change: &Function<'js>, vec: Vec<f32>) -> Vec<f32> {
    let store = BackingStore::from(UniqueStore::from_owner(vec).expect("room for a control block"));
    let floats = store.expose_typed::<f32>(ctx, 0, SENT_FLOATS).expect("room for a buffer").into_value();
    let changed: f32 = change.call((floats.clone(),)).expect("a number");
    detach(ctx, &floats, None).expect("not detached yet");
    let vec: Vec<f32> = store.try_into_unique().expect("the only one").try_into_owner().expect("the same vector");
    assert_eq!(vec[1], changed);
    vec
}

fn sent_by_copies<'js>(ctx: &Ctx<'js>, change: &Function<'js>, vec: &[f32]) -> Vec<f32> {
    let floats = TypedArray::new_copy(ctx.clone(), vec).expect("room for a buffer");
    let changed: f32 = change.call((floats.clone(),)).expect("a number");
    // SAFETY: script does not run while the slice lives.
    let vec = unsafe { floats.as_slice() }.to_vec();
    assert_eq!(vec[1], changed);
    vec
}
