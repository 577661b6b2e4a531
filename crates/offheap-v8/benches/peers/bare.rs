//! The peer: the crate `v8` as a careful program uses it, with an `Arc` behind each buffer.
#![allow(unsafe_code, reason = "what the crate `v8` asks for where memory comes from outside")]

use std::ffi::c_void;
use std::sync::Arc;

use offheap_v8::v8::{self, Local, PinScope};

/// An ArrayBuffer over the memory of `arc`.
pub(crate) fn expose<'s>(scope: &PinScope<'s, '_>, arc: &Arc<Vec<u8>>) -> Local<'s, v8::ArrayBuffer> {
    let data: *const u8 = arc.as_ptr();
    let kept = Arc::into_raw(Arc::clone(arc)).cast_mut();
    // SAFETY: the memory lives while the count does that the deleter takes back. Nobody reads or writes it.
    let store =
        unsafe { v8::ArrayBuffer::new_backing_store_from_ptr(data.cast_mut().cast(), arc.len(), let_go, kept.cast()) };
    v8::ArrayBuffer::with_backing_store(scope, &store.make_shared())
}

unsafe extern "C" fn let_go(_data: *mut c_void, _byte_length: usize, kept: *mut c_void) {
    // SAFETY: the count that `expose` gave with this deleter, which is called once.
    drop(unsafe { Arc::from_raw(kept.cast_const().cast::<Vec<u8>>()) });
}
