//! A slice does not wait: what is kept across an `await` is a copy or the store.
use std::future::ready;

use offheap_quickjs::Isolate;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
        let bytes = scope.bytes(buffer.as_handle()).unwrap();
        let waits = async move {
            ready(()).await;
            bytes[0]
        };
        spawn(waits);
    });
}

fn spawn<F: Future<Output = u8> + Send + 'static>(_future: F) {}
