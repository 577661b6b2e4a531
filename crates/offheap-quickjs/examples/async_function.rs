//! An async function of Rust that script calls: it takes a buffer, works on another thread while script goes on, and
//! returns a store. It needs rquickjs's feature `futures`.

use offheap_quickjs::offheap::{self, BackingStore};
use offheap_quickjs::prelude::*;
use offheap_quickjs::rquickjs::prelude::Async;
use offheap_quickjs::rquickjs::{self, AsyncContext, AsyncRuntime, Ctx, Function};

/// Packs runs of equal bytes into pairs of count and byte.
fn packed(store: &BackingStore) -> Result<BackingStore, offheap::Error> {
    // A copy, because script may write its buffer in the meantime.
    let bytes = store.to_vec()?;
    let pairs = bytes.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(255)).flat_map(|run| [run.len() as u8, run[0]]);
    Ok(BackingStore::from_owner(pairs.collect::<Vec<u8>>())?)
}

/// A store is `Send` and has no lifetime, so it may be held across an `await` and moved to another thread.
async fn pack<'js>(ctx: Ctx<'js>, Buffer(store): Buffer) -> rquickjs::Result<Buffer> {
    let work = tokio::task::spawn_blocking(move || packed(&store));
    // Script runs here. Whatever it does to its buffer, the store keeps the memory.
    let packed = work.await.expect("the work does not panic");
    packed.map(Buffer).or_throw(&ctx)
}

const SCRIPT: &str = r#"
    const pixels = new Uint8Array(1000).fill(7, 0, 300);
    const promise = pack(pixels);
    pixels.buffer.transfer(); // `pack` has the memory already
    const result = new Uint8Array(await promise);
    `${result.length} bytes: ${result.join(" ")}`
"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let context = AsyncContext::full(&AsyncRuntime::new()?).await?;
    let said = context
        .async_with(async |ctx| {
            let run = async || -> rquickjs::Result<String> {
                ctx.globals().set("pack", Function::new(ctx.clone(), Async(pack))?)?;
                let mut options = rquickjs::context::EvalOptions::default();
                options.promise = true;
                let promise: rquickjs::Promise<'_> = ctx.eval_with_options(SCRIPT, options)?;
                let result: rquickjs::Object<'_> = promise.into_future().await?;
                result.get("value")
            };
            // The error leaves the context, so it is one with a message and a place.
            run().await.caught(&ctx)
        })
        .await?;
    println!("{said}");
    Ok(())
}
