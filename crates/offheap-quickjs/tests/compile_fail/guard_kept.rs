//! A slice ends with its scope; a handle and a store do not.
use offheap_quickjs::Isolate;

fn main() {
    let mut isolate = Isolate::new().unwrap();
    let bytes = isolate.enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
        scope.bytes(buffer.as_handle()).unwrap()
    });
    assert_eq!(bytes[0], 0);
}
