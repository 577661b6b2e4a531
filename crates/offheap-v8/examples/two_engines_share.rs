//! One shared store in QuickJS and V8 at the same time, each on its own thread. Both count in it with `Atomics`, and no
//! addition is lost.

use std::thread;

use offheap_v8::offheap::{BackingStore, SharedStore};
use offheap_v8::{Isolate, start};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const COUNT: &str = "const counter = new Int32Array(memory);
    for (let i = 0; i < 100_000; i++) Atomics.add(counter, 0, 1);";

fn main() -> Result<()> {
    // V8 first: on some machines a thread that is older than V8 cannot run it.
    start("")?;
    let store = SharedStore::zeroed(8)?;

    let memory = BackingStore::from(store.clone());
    let quickjs = thread::spawn(move || -> Result<()> {
        offheap_quickjs::Isolate::new()?.enter(|scope| {
            let buffer = scope.expose(&memory)?;
            scope.set_global("memory", &buffer)?;
            Ok(scope.eval(COUNT)?)
        })
    });
    let in_v8 = Isolate::new()?.enter(|scope| -> Result<i32> {
        let buffer = scope.expose(store.as_store())?;
        scope.set_global("memory", &buffer)?;
        scope.eval::<()>(COUNT)?;
        quickjs.join().expect("QuickJS's thread does not panic")?;
        Ok(scope.eval("Atomics.load(new Int32Array(memory), 0)")?)
    })?;
    let in_rust = store.copy_out::<i32>()?[0];
    println!("two engines counted to {in_v8}; Rust sees {in_rust}");
    assert_eq!((in_v8, in_rust), (200_000, 200_000));
    Ok(())
}
