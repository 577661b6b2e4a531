//! Nothing of the `Ctx` outlives the call that lent it.
use offheap_quickjs::{Isolate, ScopeExt};

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        assert_eq!(scope.with_ctx(|ctx| ctx.eval::<u32, _>("1").unwrap()), 1);
    });
}
