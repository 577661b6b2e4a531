//! Script cannot run while a slice to write lives, and no second one can be had.
use offheap_quickjs::{Isolate, ScopeExt};

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(4)").unwrap();
        let mut bytes = scope.bytes_mut(buffer.as_handle()).unwrap();
        scope.with_ctx(|ctx| ctx.eval::<(), _>("new Uint8Array(b)[0] = 1; undefined").unwrap());
        let again = scope.bytes(buffer.as_handle()).unwrap();
        bytes[0] = again[0];
    });
}
