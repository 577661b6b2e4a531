//! Script cannot run while a slice of a buffer lives.
use offheap_quickjs::Isolate;

fn main() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(4)").unwrap();
        let bytes = scope.bytes(buffer.as_handle()).unwrap();
        scope.eval::<u32>("b.transfer(0); 1").unwrap();
        assert_eq!(bytes[0], 0);
    });
}
