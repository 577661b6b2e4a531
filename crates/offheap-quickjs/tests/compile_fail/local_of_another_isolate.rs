//! A local has the brand of its scope.
use offheap_quickjs::{Isolate, JsArrayBuffer, Local, Scope};

fn main() {
    let (mut first, mut second) = (Isolate::new().unwrap(), Isolate::new().unwrap());
    first.enter(|one| {
        let local = one.eval_buffer("new ArrayBuffer(4)").unwrap();
        second.enter(|two| {
            byte_length(two, &local);
        });
    });
}

fn byte_length<'s>(scope: &mut Scope<'s>, buffer: &Local<'s, JsArrayBuffer>) -> usize {
    scope.state(buffer.as_handle()).unwrap().byte_length
}
