//! The peer: a careful program that uses the crate `v8` with an `Arc` behind each buffer.
#![allow(unsafe_code, reason = "the crate `v8` requires it for external memory")]

use std::ffi::c_void;
use std::sync::Arc;

use offheap_v8::v8::{self, Local, PinScope};

/// Makes an ArrayBuffer over the memory of `arc`.
pub(crate) fn expose<'s>(scope: &PinScope<'s, '_>, arc: &Arc<Vec<u8>>) -> Local<'s, v8::ArrayBuffer> {
    let data: *const u8 = arc.as_ptr();
    let kept = Arc::into_raw(Arc::clone(arc)).cast_mut();
    // SAFETY: the memory lives until the deleter gives its count back. Nothing reads or writes it.
    let store = unsafe {
        v8::ArrayBuffer::new_backing_store_from_ptr(data.cast_mut().cast(), arc.len(), drop_arc, kept.cast())
    };
    v8::ArrayBuffer::with_backing_store(scope, &store.make_shared())
}

unsafe extern "C" fn drop_arc(_data: *mut c_void, _byte_length: usize, kept: *mut c_void) {
    // SAFETY: this is the count that `expose` passed with this deleter, which V8 calls once.
    drop(unsafe { Arc::from_raw(kept.cast_const().cast::<Vec<u8>>()) });
}
