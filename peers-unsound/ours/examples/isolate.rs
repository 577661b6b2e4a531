//! Using a buffer of one thread's engine on another thread. Counterpart of `napi/programs/isolate.js`.
use adapter::Isolate;

fn main() {
    let handle = Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(8)").unwrap();
        buffer.into_handle()
    });
    #[cfg(feature = "refused")] // E0277
    std::thread::spawn(move || drop(handle)).join().unwrap();
}
