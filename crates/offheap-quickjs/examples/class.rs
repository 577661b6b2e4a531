//! A class of Rust that owns memory: script makes images and works on their pixels, and Rust has the same pixels. It
//! needs rquickjs's feature `macro`, and `rquickjs` in `Cargo.toml`, because its macros look for it there.

use offheap_quickjs::offheap::{BackingStore, UniqueStore};
use offheap_quickjs::prelude::*;
use offheap_quickjs::rquickjs::class::Trace;
use offheap_quickjs::rquickjs::{self, Class, Context, Ctx, JsLifetime, Runtime, TypedArray};

/// An image of one byte a pixel.
#[derive(Trace, JsLifetime)]
#[rquickjs::class]
struct Image {
    #[qjs(get)]
    width: usize,
    // A store contains no value of script, so there is nothing to trace.
    #[qjs(skip_trace)]
    pixels: BackingStore,
}

#[rquickjs::methods]
impl Image {
    /// `new Image(width, height)`
    #[qjs(constructor)]
    fn new(ctx: Ctx<'_>, width: usize, height: usize) -> rquickjs::Result<Self> {
        let pixels = UniqueStore::zeroed(width.saturating_mul(height)).or_throw(&ctx)?.into();
        Ok(Image { width, pixels })
    }

    /// `Image.from(width, buffer)`: the buffer's memory, or the part that a view shows.
    #[qjs(static)]
    fn from(width: usize, Buffer(pixels): Buffer) -> Self {
        Image { width, pixels }
    }

    /// `image.pixels`: an ArrayBuffer over the image's own memory. Each call makes one, over the same memory.
    #[qjs(get)]
    fn pixels(&self) -> Buffer {
        Buffer(self.pixels.clone())
    }

    /// `image.row(y)`: a `Uint8Array` over a part of the memory.
    fn row<'js>(&self, ctx: Ctx<'js>, y: usize) -> rquickjs::Result<TypedArray<'js, u8>> {
        self.pixels.expose_typed::<u8>(&ctx, y.saturating_mul(self.width), self.width).or_throw(&ctx)
    }

    /// `image.invert()`, in place. Script of this thread may have the memory too, so it is used through cells.
    fn invert(&self, ctx: Ctx<'_>) -> rquickjs::Result<()> {
        for pixel in self.pixels.cells(&ctx).or_throw(&ctx)?.iter() {
            pixel.set(!pixel.get());
        }
        Ok(())
    }
}

const SCRIPT: &str = r#"
    const image = new Image(4, 2);
    new Uint8Array(image.pixels).fill(200);
    image.invert();
    let said = "";
    try { image.row(9) } catch (e) { said = `${e.name} ${e.code}` }
    globalThis.kept = image;
    `a row of ${image.row(1).join(" ")}, and then ${said}`
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new()?;
    let pixels = Context::full(&runtime)?.with(|ctx| {
        let run = || -> rquickjs::Result<BackingStore> {
            Class::<Image>::define(&ctx.globals())?;
            println!("{}", ctx.eval::<String, _>(SCRIPT)?);
            let kept: Class<'_, Image> = ctx.globals().get("kept")?;
            Ok(kept.borrow().pixels.clone())
        };
        run().caught(&ctx)
    })?;
    drop(runtime);
    // Script and its image are gone. The store keeps the memory.
    println!("in Rust: {:?}", pixels.to_vec()?);
    Ok(())
}
