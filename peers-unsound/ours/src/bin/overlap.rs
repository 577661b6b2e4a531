//! Not prevented by offheap: script in a program's own `Ctx` gets QuickJS's `slice` before the first store exists, so
//! the adapter cannot replace it. That `slice` copies with `memcpy` between two buffers over the same memory.
//! Seen: "memcpy-param-overlap" (ASan). Without ASan, the resulting bytes depend on the C library.
#![forbid(unsafe_code)]

use adapter::BackingStoreExt;
use adapter::offheap::{BackingStore, UniqueStore};
use adapter::rquickjs::{Context, Runtime};

fn main() {
    let bytes: Vec<u8> = (0..=255).cycle().take(4096).collect();
    let store = BackingStore::from(UniqueStore::from_owner(bytes).unwrap());
    Context::full(&Runtime::new().unwrap()).unwrap().with(|ctx| {
        ctx.eval::<(), _>("globalThis.kept = ArrayBuffer.prototype.slice").unwrap();
        ctx.globals().set("all", store.expose(&ctx).unwrap()).unwrap();
        ctx.globals().set("part", store.slice(8..).unwrap().expose(&ctx).unwrap()).unwrap();
        let same: bool = ctx
            .eval(
                "all.constructor = { [Symbol.species]: function () { return part } }; kept.call(all, 0, 2048) === part",
            )
            .unwrap();
        println!("QuickJS's own slice copied 2048 bytes to 8 bytes further on: {same}");
    });
}
