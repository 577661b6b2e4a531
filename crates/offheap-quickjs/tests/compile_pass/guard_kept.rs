//! A slice ends with its scope; a handle and a store do not.
use offheap_quickjs::Isolate;

fn main() {
    let mut isolate = Isolate::new().unwrap();
    let (handle, store) = isolate.enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
        let store = scope.externalize(buffer.as_handle()).unwrap();
        (buffer.into_handle(), store)
    });
    assert_eq!(store.to_vec().unwrap(), [0; 4]);
    assert_eq!(isolate.enter(|scope| scope.bytes(&handle).unwrap().len()), 4);
}
