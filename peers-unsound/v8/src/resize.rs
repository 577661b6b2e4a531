//! The slice of a resizable buffer's store keeps its length when script shrinks the buffer and V8 takes the pages away.
//! Seen: SIGSEGV.

use std::cell::Cell;

pub(super) fn main() {
    super::start();
    let isolate = &mut v8::Isolate::new(Default::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, Default::default());
    let scope = &v8::ContextScope::new(scope, context);
    let buffer = super::eval(scope, "globalThis.buffer = new ArrayBuffer(1 << 20, { maxByteLength: 1 << 20 })");
    let store = v8::Local::<v8::ArrayBuffer>::try_from(buffer).unwrap().get_backing_store();
    let bytes: &[Cell<u8>] = &store;
    super::eval(scope, "buffer.resize(0)");
    println!("reading byte {} of {}", bytes.len() - 1, bytes.len());
    println!("read {}", bytes[bytes.len() - 1].get());
}
