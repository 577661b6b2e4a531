//! Collecting, detaching and dropping into script's hands wait for the slice too.
use offheap_quickjs::Isolate;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
        let bytes = scope.bytes(buffer.as_handle()).unwrap();
        scope.collect();
        scope.run_microtasks().unwrap();
        scope.detach(buffer.as_handle(), None).unwrap();
        assert_eq!(bytes[0], 0);
    });
}
