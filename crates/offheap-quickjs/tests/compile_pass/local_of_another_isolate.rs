//! A local has the brand of its scope.
use offheap_quickjs::{Isolate, JsArrayBuffer, Local, Scope};

fn main() {
    let (mut first, mut second) = (Isolate::new().unwrap(), Isolate::new().unwrap());
    first.enter(|one| {
        let local = one.eval_buffer("new ArrayBuffer(4)").unwrap();
        assert_eq!(byte_length(one, &local), 4);
        second.enter(|two| {
            let own = two.eval_buffer("new ArrayBuffer(5)").unwrap();
            assert_eq!(byte_length(two, &own), 5);
        });
    });
}

fn byte_length<'s>(scope: &mut Scope<'s>, buffer: &Local<'s, JsArrayBuffer>) -> usize {
    scope.state(buffer.as_handle()).unwrap().byte_length
}
