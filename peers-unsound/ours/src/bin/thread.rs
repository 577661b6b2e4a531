//! Not prevented by offheap: the `Ctx` that `with_ctx` lends is rquickjs's, which is `Clone` and `Send`. Two threads
//! run script in one runtime at once.
//! Seen: "Possible data race" (helgrind), and usually a crash.
#![forbid(unsafe_code)]

use adapter::{Isolate, ScopeExt};

fn main() {
    let rounds = if std::env::var_os("FEW").is_some() { 20 } else { 2_000_000 };
    let count =
        format!("(() => {{ let a = []; for (let i = 0; i < {rounds}; i++) a = [{{ a: new ArrayBuffer(8) }}] }})()");
    // If QuickJS checks the stack, it takes the other thread's stack for an overflow.
    let mut isolate = Isolate::builder().stack_size(0).build().unwrap();
    isolate.enter(|scope| {
        scope.with_ctx(|ctx| {
            let other = ctx.clone();
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let other = other;
                    other.eval::<(), _>(&count[..]).is_ok()
                });
                let _ = ctx.eval::<(), _>(&count[..]);
            });
        });
    });
}
