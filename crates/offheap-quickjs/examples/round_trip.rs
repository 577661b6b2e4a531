//! A `Vec` through a script in your own `Ctx`, and back as the same `Vec`.

use offheap_quickjs::BackingStoreExt;
use offheap_quickjs::offheap::{BackingStore, UniqueStore};
use offheap_quickjs::rquickjs::{Context, Runtime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let samples = vec![0.5_f32, 1.0, 1.5];
    let address = samples.as_ptr();
    let store: BackingStore = UniqueStore::from_owner(samples)?.into();
    Context::full(&Runtime::new()?)?.with(|ctx| -> Result<(), Box<dyn std::error::Error>> {
        ctx.globals().set("samples", store.expose(&ctx)?)?;
        Ok(ctx.eval::<(), _>("new Float32Array(samples).forEach((x, i, a) => { a[i] = x * 2 })")?)
    })?;
    let samples: Vec<f32> = store.try_into_unique()?.try_into_owner()?;
    println!("{samples:?}, the same memory: {}", samples.as_ptr() == address);
    Ok(())
}
