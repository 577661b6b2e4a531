//! Script that shrinks a buffer under a slice of it. Beside `v8/src/resize.rs`.
use offheap_quickjs::Isolate;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let source = "globalThis.buffer = new ArrayBuffer(1 << 20, { maxByteLength: 1 << 20 })";
        let buffer = scope.eval_buffer(source).unwrap();
        let bytes = scope.bytes(buffer.as_handle()).unwrap();
        #[cfg(feature = "refused")] // E0502
        scope.eval::<()>("buffer.resize(0)").unwrap();
        assert_eq!(bytes[(1 << 20) - 1], 0);
    });
}
