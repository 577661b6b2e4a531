//! Another thread writes while script runs. Counterpart of `napi/programs/race.js`.
use adapter::Isolate;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(8)").unwrap();
        let mut bytes = scope.bytes_mut(&buffer).unwrap();
        std::thread::scope(|threads| {
            #[cfg(feature = "refused")] // E0277
            threads.spawn(move || bytes[0] += 1);
        });
        let _ = buffer;
    });
}
