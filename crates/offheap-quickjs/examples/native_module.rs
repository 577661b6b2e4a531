//! A module of Rust, whose functions take and return buffers: `import { checksum } from "bytes"`. It needs rquickjs's
//! feature `macro`, and `rquickjs` in `Cargo.toml`, because its macros look for it there.

use offheap_quickjs::prelude::*;
use offheap_quickjs::rquickjs::{self, Context, Module, Runtime};

#[rquickjs::module]
#[expect(unreachable_pub, reason = "the macro exports public functions to script")]
mod bytes {
    use offheap_quickjs::offheap::FrozenStore;
    use offheap_quickjs::prelude::*;
    use offheap_quickjs::rquickjs::{self, Ctx, prelude::Rest};

    /// Adler-32 of the bytes that a buffer or a view shows.
    #[rquickjs::function]
    pub fn checksum(Copied(bytes): Copied<u8>) -> u32 {
        let (a, b) = bytes.iter().fold((1, 0), |(a, b), &byte| {
            let a = (a + u32::from(byte)) % 65_521;
            (a, (b + a) % 65_521)
        });
        b << 16 | a
    }

    /// One `Uint8Array` with the bytes of all buffers. It has the memory of the `Vec`.
    #[rquickjs::function]
    pub fn concat(parts: Rest<Copied<u8>>) -> TypedArrayOf<u8> {
        TypedArrayOf(parts.0.into_iter().flat_map(Copied::into_inner).collect())
    }

    /// Fills a part of the caller's own memory.
    #[rquickjs::function]
    pub fn fill(ctx: Ctx<'_>, Buffer(store): Buffer, byte: u8) -> rquickjs::Result<()> {
        store.copy_in(&ctx, 0, &vec![byte; store.byte_length()]).or_throw(&ctx)
    }

    /// Text that belongs to the program, as an immutable ArrayBuffer.
    #[rquickjs::function]
    pub fn licence() -> rquickjs::Result<FrozenOrCopy> {
        Ok(FrozenOrCopy(FrozenStore::from_owner("MIT OR Apache-2.0")?))
    }
}

const SCRIPT: &str = r#"
    import { checksum, concat, fill, licence } from "bytes";
    const name = new Uint8Array([87, 105, 107, 105, 112, 101, 100, 105, 97]);
    globalThis.said = [
        checksum(name).toString(16),
        concat(name.subarray(0, 2), name.buffer).length,
        licence().immutable,
    ];
    fill(name, 0);
    said.push(name.join(""));
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    Context::full(&Runtime::new()?)?.with(|ctx| {
        let run = || -> rquickjs::Result<Vec<rquickjs::Coerced<String>>> {
            Module::declare_def::<js_bytes, _>(ctx.clone(), "bytes")?;
            Module::evaluate(ctx.clone(), "main.js", SCRIPT)?.finish::<()>()?;
            ctx.globals().get("said")
        };
        for line in run().caught(&ctx)? {
            println!("{}", line.0);
        }
        Ok(())
    })
}
