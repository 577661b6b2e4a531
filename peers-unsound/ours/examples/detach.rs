//! Detaching a buffer under a slice. Counterpart of `v8/src/contents.rs`, and `napi/src/lib.rs`, `detach_and_read`.
use adapter::Isolate;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new Uint8Array(64 << 20).fill(7).buffer").unwrap();
        let bytes = scope.bytes(&buffer).unwrap();
        #[cfg(feature = "refused")] // E0502
        scope.detach(&buffer, None).unwrap();
        assert_eq!(bytes[0], 7);
    });
}
