//! A value of one isolate is given to another: a `Local` has the lifetime of its scope, but does not name its isolate.
//! Seen: SIGSEGV when V8 collects a heap with a reference into another one.

pub(super) fn main() {
    super::start();
    let outer = &mut v8::Isolate::new(Default::default());
    v8::scope!(let outer, outer);
    let context = v8::Context::new(outer, Default::default());
    let outer = &v8::ContextScope::new(outer, context);
    let object = super::eval(outer, "globalThis.o = { text: 'of the other isolate' }");

    let inner = &mut v8::Isolate::new(Default::default());
    v8::scope!(let inner, inner);
    let context = v8::Context::new(inner, Default::default());
    let inner = &mut v8::ContextScope::new(inner, context);
    let name = v8::String::new(inner, "o").unwrap();
    context.global(inner).set(inner, name.into(), object);
    println!("collecting");
    for _ in 0..10 {
        inner.low_memory_notification();
        super::eval(inner, "for (let i = 0; i < 1e5; i++) o['x' + i % 100] = { i }; o.text");
    }
}
