//! A function of script cannot have the scope.
use offheap_quickjs::{Isolate, ScopeExt};
use offheap_quickjs::rquickjs::Function;

fn main() {
    let (mut outer, mut inner) = (Isolate::new().unwrap(), Isolate::new().unwrap());
    outer.enter(|scope| {
        inner.enter(|other| {
            other.with_ctx(|ctx| {
                let collect = Function::new(ctx.clone(), || scope.isolate().external_bytes()).unwrap();
                ctx.globals().set("collect", collect).unwrap();
            });
        });
    });
}
