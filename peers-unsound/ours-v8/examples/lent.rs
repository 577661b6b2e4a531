//! Not prevented by offheap: `with_v8` lends a scope of the crate `v8`, and that crate's safe API gets the
//! `v8::BackingStore` of any buffer from it. Its `Cell`s can also write frozen memory.
//! Seen: bytes change under a `&[u8]`.
#![forbid(unsafe_code)]

use adapter::offheap::FrozenStore;
use adapter::{Isolate, ScopeExt, v8};

fn main() {
    let store = FrozenStore::from_owner(std::sync::Arc::<[u8]>::from([7_u8; 8])).unwrap();
    let bytes: &[u8] = &store;
    Isolate::new().unwrap().enter(|scope| {
        let (buffer, _exposure) = scope.expose_or_copy(&store.clone().into()).unwrap();
        scope.set_global("buffer", &buffer).unwrap();
        let kept = scope.with_v8(|scope| {
            let name = v8::String::new(scope, "buffer").unwrap();
            let global = scope.get_current_context().global(scope);
            let buffer: v8::Local<'_, v8::ArrayBuffer> = global.get(scope, name.into()).unwrap().try_into().unwrap();
            buffer.get_backing_store()
        });
        kept[0].set(9);
    });
    println!("the first byte of a &[u8] was 7 and is {}", std::hint::black_box(bytes)[0]);
}
