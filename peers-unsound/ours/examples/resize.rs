//! Script shrinks a buffer under a slice of it. Counterpart of `v8/src/resize.rs`.
use adapter::Isolate;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let source = "globalThis.buffer = new ArrayBuffer(1 << 20, { maxByteLength: 1 << 20 })";
        let buffer = scope.eval_buffer(source).unwrap();
        // An adapter that does not take such memory over returns this error.
        let Ok(bytes) = scope.bytes(&buffer) else { return };
        #[cfg(feature = "refused")] // E0502
        scope.eval::<()>("buffer.resize(0)").unwrap();
        assert_eq!(bytes[(1 << 20) - 1], 0);
    });
}
