//! Lends a `Vec` to a script in your own `Ctx`, and gets the same `Vec` back. The README shows `double`.

use offheap_quickjs::detach;
use offheap_quickjs::offheap::BackingStore;
use offheap_quickjs::prelude::*;
use offheap_quickjs::rquickjs::{Context, Ctx, Runtime};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn double(ctx: &Ctx<'_>, samples: Vec<f32>) -> Result<Vec<f32>> {
    let store = BackingStore::from_owner(samples)?;
    let buffer = store.expose(ctx)?; // an ArrayBuffer over the Vec's own memory
    ctx.globals().set("samples", buffer.clone())?;
    ctx.eval::<(), _>("new Float32Array(samples).forEach((x, i, a) => { a[i] = x * 2 })").caught(ctx)?;
    detach(ctx, buffer.as_value(), None)?; // script's views have length 0 from here on
    Ok(store.try_into_unique()?.try_into_owner()?) // the same Vec, or an error that says who still uses it
}

fn main() -> Result<()> {
    let samples = vec![0.5_f32, 1.0, 1.5];
    let address = samples.as_ptr();
    let samples = Context::full(&Runtime::new()?)?.with(|ctx| double(&ctx, samples))?;
    println!("{samples:?}, the same memory: {}", samples.as_ptr() == address);
    Ok(())
}
