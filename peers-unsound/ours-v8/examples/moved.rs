//! What offheap does not mend: cells of a store live while its program takes V8's block, by the crate's own safe API, and makes
//! a buffer of it in an isolate on another thread. V8 tells nobody, and the cells were lent before.
//! Seen: bytes change under `Cell`s that stay on their thread.
#![forbid(unsafe_code)]

use adapter::offheap::{BackingStore, UniqueStore};
use adapter::{BackingStoreExt, v8};

/// Makes a buffer of a block in an isolate of this thread, and writes to it.
fn write(block: &v8::SharedRef<v8::BackingStore>) {
    let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    let buffer = v8::ArrayBuffer::with_backing_store(scope, block);
    let name = v8::String::new(scope, "b").unwrap();
    context.global(scope).set(scope, name.into(), buffer.into());
    let source = v8::String::new(scope, "new Uint8Array(b).fill(9)").unwrap();
    v8::Script::compile(scope, source, None).unwrap().run(scope).unwrap();
}

fn main() {
    adapter::start("").unwrap();
    let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    let store = BackingStore::from(UniqueStore::from_owner(vec![7_u8; 8]).unwrap());
    let buffer = store.to_js(scope).unwrap();
    let cells = store.cells(scope).unwrap();
    let before = cells[0].get();
    let block = buffer.get_backing_store();
    std::thread::spawn(move || write(&block)).join().unwrap();
    println!("a Cell of this thread was {before} and is {}", cells[0].get());
}
