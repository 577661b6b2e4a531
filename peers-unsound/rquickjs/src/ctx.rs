//! A `Ctx` is `Clone` and `Send` even without the feature `parallel`. Two threads run script in one runtime at once.
//! Seen: "Possible data race" (helgrind), and usually a crash.

pub(super) fn main() {
    let rounds = if std::env::var_os("FEW").is_some() { 20 } else { 2_000_000 };
    let count =
        format!("(() => {{ let a = []; for (let i = 0; i < {rounds}; i++) a = [{{ a: new ArrayBuffer(8) }}] }})()");
    let context = super::context();
    // If QuickJS checks the stack, it takes the other thread's stack for an overflow.
    context.runtime().set_max_stack_size(0);
    context.with(|ctx| {
        let other = ctx.clone();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let other = other;
                other.eval::<(), _>(&count[..]).is_ok()
            });
            let _ = ctx.eval::<(), _>(&count[..]);
        });
    });
}
