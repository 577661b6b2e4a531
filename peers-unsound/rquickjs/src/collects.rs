//! A collection drops a value that a Rust function of JavaScript captured, and that value starts a collection. QuickJS
//! does not check whether it is already collecting.
//! Seen: an assertion of QuickJS, or a crash.

use rquickjs::{Ctx, Function};

struct Collects<'js>(Ctx<'js>);

impl Drop for Collects<'_> {
    fn drop(&mut self) {
        self.0.run_gc();
    }
}

pub(super) fn main() {
    super::context().with(|ctx| {
        for _ in 0..10 {
            let captured = Collects(ctx.clone());
            let function = Function::new(ctx.clone(), move || {
                let _ = &captured;
            });
            let function = function.unwrap();
            function.set("itself", function.clone()).unwrap();
        }
        println!("collecting");
        ctx.run_gc();
        ctx.eval::<(), _>("for (let n = 0; n < 100000; n++) ({ n })").unwrap();
        ctx.run_gc();
    });
}
