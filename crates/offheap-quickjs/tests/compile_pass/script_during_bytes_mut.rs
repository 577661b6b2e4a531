//! Script cannot run while a slice to write lives, and no second one can be had.
use offheap_quickjs::{Isolate, ScopeExt};

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(4)").unwrap();
        scope.bytes_mut(buffer.as_handle()).unwrap()[0] = 5;
        scope.with_ctx(|ctx| ctx.eval::<(), _>("new Uint8Array(b)[0] = 1; undefined").unwrap());
        assert_eq!(scope.bytes(buffer.as_handle()).unwrap()[0], 1);
    });
}
