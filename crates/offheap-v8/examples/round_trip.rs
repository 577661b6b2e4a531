//! Moves a `Vec` through a function of script in your own scope, and gets the same `Vec` back. The README shows
//! `apply`.

use offheap_v8::offheap::BackingStore;
use offheap_v8::{BackingStoreExt, detach, start, v8};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn apply(scope: &mut v8::PinScope, function: v8::Local<v8::Function>, samples: Vec<f32>) -> Result<Vec<f32>> {
    let store = BackingStore::from_owner(samples)?;
    let buffer = store.expose(scope)?; // a v8::Local<v8::ArrayBuffer> over the Vec's own memory
    let undefined = v8::undefined(scope);
    function.call(scope, undefined.into(), &[buffer.into()]).ok_or("the function threw")?;
    detach(scope, buffer.into(), None)?; // so that no collection decides when the Vec comes back
    Ok(store.try_into_unique()?.try_into_owner()?) // the same Vec, with its own capacity
}

fn main() -> Result<()> {
    start("")?;
    let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);

    let source = "(buffer) => new Float32Array(buffer).forEach((x, i, a) => { a[i] = x * 2 })";
    let source = v8::String::new(scope, source).ok_or("the source is a string")?;
    let function = v8::Script::compile(scope, source, None).and_then(|script| script.run(scope));
    let function = v8::Local::<v8::Function>::try_from(function.ok_or("the script runs")?)?;

    let samples = vec![0.5_f32, 1.0, 1.5];
    let address = samples.as_ptr();
    let samples = apply(scope, function, samples)?;
    println!("{samples:?}, the same memory: {}", samples.as_ptr() == address);
    Ok(())
}
