//! Not prevented by offheap: a program takes V8's block of a store through the crate's safe API, and makes a buffer
//! over it in an isolate on another thread, before cells of the store are lent or while they live. V8 reports this to
//! nobody.
//! Seen: in both cases, bytes change under `Cell`s that stay on their thread.
#![forbid(unsafe_code)]

use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;

use adapter::offheap::{BackingStore, UniqueStore};
use adapter::{BackingStoreExt, v8};

/// Makes a buffer over a block in an isolate of this thread, and writes to it on request.
fn write(block: v8::SharedRef<v8::BackingStore>, now: &Receiver<()>) {
    let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    let buffer = v8::ArrayBuffer::with_backing_store(scope, &block);
    drop(block);
    let name = v8::String::new(scope, "b").unwrap();
    context.global(scope).set(scope, name.into(), buffer.into());
    let source = v8::String::new(scope, "new Uint8Array(b).fill(9)").unwrap();
    now.recv().unwrap();
    v8::Script::compile(scope, source, None).unwrap().run(scope).unwrap();
}

fn main() {
    adapter::start("").unwrap();
    let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    for is_moved_before in [false, true] {
        let store = BackingStore::from(UniqueStore::from_owner(vec![7_u8; 8]).unwrap());
        let buffer = store.expose(scope).unwrap();
        let block = buffer.get_backing_store();
        if is_moved_before {
            adapter::detach(scope, buffer.into(), None).unwrap();
        }
        let (tell, now) = channel();
        let (writer, cells) = match is_moved_before {
            true => {
                let writer = spawn(move || write(block, &now));
                (writer, store.cells(scope).unwrap())
            }
            false => {
                let cells = store.cells(scope).unwrap();
                (spawn(move || write(block, &now)), cells)
            }
        };
        let before = cells[0].get();
        tell.send(()).unwrap();
        writer.join().unwrap();
        println!("a Cell of this thread was {before} and is {}", cells[0].get());
    }
}
