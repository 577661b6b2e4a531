//! Nothing of the `Ctx` outlives the call that lent it.
use offheap_quickjs::{Isolate, ScopeExt};
use offheap_quickjs::rquickjs::Value;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let ctx = scope.with_ctx(|ctx| ctx);
        ctx.eval::<u32, _>("1").unwrap();
        let mut kept: Option<Value<'_>> = None;
        scope.with_ctx(|ctx| kept = Some(ctx.globals().into_value()));
        assert!(kept.is_some());
    });
}
