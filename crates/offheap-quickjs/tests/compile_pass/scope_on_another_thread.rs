//! A scope stays on its thread.
use offheap_quickjs::Isolate;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
        let store = scope.externalize(buffer.as_handle()).unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| assert_eq!(store.to_vec().unwrap(), [0; 4]));
        });
    });
}
