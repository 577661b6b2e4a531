//! Not prevented by offheap: in rquickjs, a Rust value that JavaScript keeps can use JavaScript in its `Drop`. A
//! `Persistent`, which borrows no scope, can drop such a value while a slice lives.
//! Seen: bytes change under a `&[u8]`.
#![forbid(unsafe_code)]

use adapter::rquickjs::{Ctx, Function, Persistent};
use adapter::{Isolate, ScopeExt};

struct Writes<'js>(Ctx<'js>);

impl Drop for Writes<'_> {
    fn drop(&mut self) {
        self.0.eval::<(), _>("new Uint8Array(buffer).fill(9)").unwrap();
    }
}

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.buffer = new Uint8Array(8).fill(7).buffer").unwrap();
        let persistent = scope.with_ctx(|ctx| {
            let captured = Writes(ctx.clone());
            let function = Function::new(ctx.clone(), move || {
                let _ = &captured;
            });
            Persistent::save(&ctx, function.unwrap())
        });
        let guard = scope.bytes(&buffer).unwrap();
        let bytes: &[u8] = &guard;
        let before = bytes[0];
        drop(persistent);
        println!("the first byte of a &[u8] was {before} and is {}", std::hint::black_box(bytes)[0]);
    });
}
