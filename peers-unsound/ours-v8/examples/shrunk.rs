//! Not prevented by offheap: a program gives V8's block of a resizable buffer to an isolate on another thread, through
//! the crate's safe API, and detaches the buffer here. During a copy here, script there shrinks the memory, and V8
//! unmaps it. V8 does not report that the only buffer over the block belongs to another isolate.
//! Seen: SIGSEGV in the copy.
#![forbid(unsafe_code)]

use adapter::offheap::BackingStore;
use adapter::{BackingStoreExt, detach, v8};

fn run<'s>(scope: &mut v8::PinScope<'s, '_>, source: &str) -> v8::Local<'s, v8::Value> {
    let source = v8::String::new(scope, source).unwrap();
    v8::Script::compile(scope, source, None).unwrap().run(scope).unwrap()
}

/// Runs work in an isolate of this thread.
fn in_isolate(work: impl FnOnce(&mut v8::PinScope<'_, '_>)) {
    let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    work(&mut v8::ContextScope::new(scope, context));
}

fn main() {
    adapter::start("").unwrap();
    in_isolate(|scope| {
        let value = run(scope, "new ArrayBuffer(1 << 20, { maxByteLength: 1 << 20 })");
        let store = BackingStore::externalize(scope, value).unwrap();
        let block = v8::Local::<v8::ArrayBuffer>::try_from(value).unwrap().get_backing_store();
        detach(scope, value, None).unwrap();
        std::thread::spawn(move || {
            in_isolate(|scope| {
                let buffer = v8::ArrayBuffer::with_backing_store(scope, &block);
                drop(block);
                let name = v8::String::new(scope, "b").unwrap();
                scope.get_current_context().global(scope).set(scope, name.into(), buffer.into());
                run(scope, "for (;;) { b.resize(0); b.resize(1 << 20); }");
            });
        });
        println!("copying");
        let mut into = vec![0; 1 << 20];
        for _ in 0..1_000_000 {
            let _ = store.copy_to(scope, 0, &mut into);
        }
    });
}
