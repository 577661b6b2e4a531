//! Two runtimes on two threads get buffers over one `Arc<[u8]>`, which are not SharedArrayBuffers, and both write.
//! Seen: "Possible data race" (helgrind), and lost updates that ECMAScript excludes for an ArrayBuffer.

use std::sync::Arc;

use rquickjs::ArrayBuffer;

pub(super) fn main() {
    let owner: Arc<[u8]> = Arc::from(vec![0_u8; 64]);
    let rounds = if std::env::var_os("FEW").is_some() { 640 } else { 640_000 };
    std::thread::scope(|threads| {
        for _ in 0..2 {
            let owner = owner.clone();
            threads.spawn(move || {
                super::context().with(|ctx| {
                    ctx.globals().set("buffer", ArrayBuffer::from_source(ctx.clone(), owner).unwrap()).unwrap();
                    let count =
                        format!("let a = new Uint8Array(buffer); for (let i = 0; i < {rounds}; i++) a[i % 64]++");
                    ctx.eval::<(), _>(count).unwrap();
                })
            });
        }
    });
    let expected = (2 * (rounds / 64)) as u8;
    let lost = owner.iter().filter(|count| **count != expected).count();
    println!("{lost} of 64 counters lost updates");
}
