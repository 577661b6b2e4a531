//! Two `&mut [u8]` to one buffer. Counterpart of `napi/src/lib.rs`, `write_both`.
use adapter::Isolate;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(1)").unwrap();
        let mut first = scope.bytes_mut(&buffer).unwrap();
        #[cfg(feature = "refused")] // E0499
        scope.bytes_mut(&buffer).unwrap().fill(2);
        first[0] = 1;
    });
}
