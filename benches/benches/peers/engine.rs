//! Buffers in QuickJS: ours, those of a careful program that passes an `Arc` as the opaque pointer, and those of rquickjs.
#![allow(unsafe_code, reason = "the peer is QuickJS's C interface")]

use std::ffi::c_void;
use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::Arc;

use benches::{Row, row};
use offheap_quickjs::BackingStoreExt;
use offheap_quickjs::rquickjs::{ArrayBuffer, Context, Ctx, Runtime, qjs};

/// Beside QuickJS's C API.
const GOAL: f64 = 1.2;
/// Beside the safe function of rquickjs.
const GOAL_BESIDE_RQUICKJS: f64 = 1.0;

/// Exposes a store and drops the buffer, again and again.
pub(crate) fn expose(name: &'static str, byte_length: usize) -> Row {
    expose_beside(name, byte_length, GOAL, expose_by_hand)
}

/// Exposes a store and drops the buffer. The peer is rquickjs's safe function for bytes that an `Arc` owns.
pub(crate) fn expose_vs_rquickjs(name: &'static str, byte_length: usize) -> Row {
    expose_beside(name, byte_length, GOAL_BESIDE_RQUICKJS, |ctx, arc| {
        assert!(ArrayBuffer::from_source(ctx.clone(), Arc::clone(arc)).is_ok(), "room for a buffer");
    })
}

fn expose_beside(name: &'static str, byte_length: usize, goal: f64, peer: impl Fn(&Ctx<'_>, &Arc<Vec<u8>>)) -> Row {
    let runtime = Runtime::new().expect("room for a runtime");
    let context = Context::full(&runtime).expect("room for a context");
    let store = crate::store_of(vec![1; byte_length]);
    let arc = Arc::new(vec![1_u8; byte_length]);
    let row = context.with(|ctx| {
        let ours = || assert!(black_box(&store).expose(&ctx).is_ok(), "room for a buffer");
        row(name, goal, ours, || peer(&ctx, black_box(&arc)))
    });
    assert_eq!((store.reference_count(), Arc::strong_count(&arc)), (1, 1), "each buffer released its reference");
    row
}

/// Makes a buffer over the memory of `arc` and drops it.
fn expose_by_hand(ctx: &Ctx<'_>, arc: &Arc<Vec<u8>>) {
    let ctx = ctx.as_raw().as_ptr();
    let data = arc.as_ptr().cast_mut();
    let opaque = Arc::into_raw(Arc::clone(arc)).cast_mut();
    let (byte_length, fixed) = (arc.len() as qjs::size_t, 0);
    // SAFETY: the memory lives while the count in the opaque pointer does, and the callback gives it back. Nothing
    // reads or writes it.
    let buffer = unsafe { qjs::JS_NewArrayBuffer(ctx, data, byte_length, fixed, Some(let_go), opaque.cast(), false) };
    // SAFETY: this only reads the tag.
    assert!(!unsafe { qjs::JS_IsException(buffer) }, "room for a buffer");
    // SAFETY: the call above made the value, no other code uses it, and it is freed once.
    unsafe { qjs::JS_FreeValue(ctx, buffer) };
}

unsafe extern "C" fn let_go(
    _rt: *mut qjs::JSRuntime,
    opaque: *mut c_void,
    _data: *mut c_void,
    size: qjs::size_t,
) -> *mut c_void {
    if size == 0 {
        // SAFETY: this is the count that `expose_by_hand` passed with this callback. QuickJS calls it with size 0 once.
        drop(unsafe { Arc::from_raw(opaque.cast_const().cast::<Vec<u8>>()) });
    }
    null_mut()
}
