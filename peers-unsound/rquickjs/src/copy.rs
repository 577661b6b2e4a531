//! `ArrayBuffer::new` takes a `Vec` without a copy, but copies a slice, with the same call.
//! Seen: the first buffer is over the original bytes, the second is not, and nothing reports which is which.

use rquickjs::ArrayBuffer;

pub(super) fn main() {
    let (owned, other) = (vec![1_u8; 4096], vec![2_u8; 4096]);
    let (owned_at, other_at) = (owned.as_ptr(), other.as_ptr());
    super::context().with(|ctx| {
        let moved = ArrayBuffer::new(ctx.clone(), owned).unwrap();
        let copied = ArrayBuffer::new(ctx.clone(), &other[..]).unwrap();
        let at = |buffer: &ArrayBuffer<'_>| buffer.as_raw().unwrap().cast::<u8>().as_ptr().cast_const();
        println!("the same memory: {} and {}", at(&moved) == owned_at, at(&copied) == other_at);
    });
}
