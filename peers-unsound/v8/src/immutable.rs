//! The store of an immutable ArrayBuffer gives out `Cell`s, through which memory that must not change for script is
//! written.
//! Seen: script reads 9 from a buffer that says it is immutable and that held 7.

pub(super) fn main() {
    super::start();
    let isolate = &mut v8::Isolate::new(Default::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, Default::default());
    let scope = &v8::ContextScope::new(scope, context);
    let buffer = super::eval(scope, "globalThis.b = new Uint8Array([7]).buffer.transferToImmutable()");
    let store = v8::Local::<v8::ArrayBuffer>::try_from(buffer).unwrap().get_backing_store();
    store[0].set(9);
    let seen = super::eval(scope, "`immutable: ${b.immutable}, first byte ${new Uint8Array(b)[0]}, it was 7`");
    println!("{}", seen.to_rust_string_lossy(scope));
}
