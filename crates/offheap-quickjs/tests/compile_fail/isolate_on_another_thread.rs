//! An isolate stays on its thread, and so do its handles.
use offheap_quickjs::{Handle, Isolate, JsArrayBuffer};

fn main() {
    let isolate = Isolate::new().unwrap();
    std::thread::spawn(move || drop(isolate)).join().unwrap();
}

fn send(handle: Handle<JsArrayBuffer>) {
    std::thread::spawn(move || drop(handle)).join().unwrap();
}
