//! `get_contents` returns a slice of a view's memory. Neither detaching the buffer nor running script requires `&mut`,
//! so the memory can be freed while the slice lives.
//! Seen: SIGSEGV (the memory went back to the system).

pub(super) fn main() {
    super::start();
    let isolate = &mut v8::Isolate::new(Default::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, Default::default());
    let scope = &v8::ContextScope::new(scope, context);
    let view = super::eval(scope, "new Uint8Array(64 << 20).fill(7)");
    let view = v8::Local::<v8::Uint8Array>::try_from(view).unwrap();
    let mut storage = [0; 64];
    let bytes: &[u8] = view.get_contents(&mut storage);
    println!("read {}", bytes[0]);
    view.buffer(scope).unwrap().detach(None);
    println!("read {}", bytes[0]);
}
