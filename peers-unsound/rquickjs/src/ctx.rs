//! A `Ctx` is `Clone` and `Send` also without the feature `parallel`: two threads run script in one runtime, at once.
//! Seen: "Possible data race" (helgrind), and mostly a crash.

pub(super) fn main() {
    let rounds = if std::env::var_os("FEW").is_some() { 20 } else { 2_000_000 };
    let count =
        format!("(() => {{ let a = []; for (let i = 0; i < {rounds}; i++) a = [{{ a: new ArrayBuffer(8) }}] }})()");
    let context = super::context();
    // QuickJS takes the other thread's stack for an overflow, where it looks.
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
