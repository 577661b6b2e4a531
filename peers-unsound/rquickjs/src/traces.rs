//! While a collection traces a Rust value of JavaScript, the value clones a reference and drops the clone. At that time
//! QuickJS has subtracted references from the counts.
//! Seen: an assertion of QuickJS.

use rquickjs::class::{Trace, Tracer};
use rquickjs::{Class, JsLifetime, Object, Value};

#[derive(JsLifetime)]
#[rquickjs::class]
struct Clones<'js> {
    kept: Value<'js>,
}

impl<'js> Trace<'js> for Clones<'js> {
    fn trace<'a>(&self, tracer: Tracer<'a, 'js>) {
        tracer.mark(&self.kept);
        drop(self.kept.clone());
    }
}

pub(super) fn main() {
    super::context().with(|ctx| {
        let kept = Object::new(ctx.clone()).unwrap().into_value();
        ctx.globals().set("clones", Class::instance(ctx.clone(), Clones { kept }).unwrap()).unwrap();
        println!("collecting");
        ctx.run_gc();
        ctx.eval::<(), _>("for (let n = 0; n < 100000; n++) ({ n })").unwrap();
        ctx.run_gc();
    });
}
