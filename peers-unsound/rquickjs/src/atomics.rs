//! The documentation of `from_source_immutable` says that sharing an `Arc<[u8]>` with script is sound, because writes
//! throw. But `Atomics.store` in QuickJS-NG 0.16.2 does not throw, and writes.
//! Seen: bytes change under a `&[u8]`.

use std::sync::Arc;

use rquickjs::ArrayBuffer;

pub(super) fn main() {
    let owner: Arc<[u8]> = Arc::from([7; 8]);
    let bytes: &[u8] = &owner;
    super::context().with(|ctx| {
        let buffer = ArrayBuffer::from_source_immutable(ctx.clone(), owner.clone()).unwrap();
        ctx.globals().set("buffer", buffer).unwrap();
        ctx.eval::<(), _>("Atomics.store(new Uint8Array(buffer), 0, 9)").unwrap();
    });
    println!("the first byte of a &[u8] was 7 and is {}", std::hint::black_box(bytes)[0]);
}
