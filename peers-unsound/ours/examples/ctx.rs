//! Two threads run script in one runtime. Counterpart of `rquickjs/src/ctx.rs`.
use adapter::Isolate;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        std::thread::scope(|threads| {
            #[cfg(feature = "refused")] // E0277
            threads.spawn(|| scope.eval::<u32>("1").unwrap());
        });
        scope.eval::<u32>("2").unwrap();
    });
}
