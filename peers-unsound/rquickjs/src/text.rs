//! `from_source` takes an `Arc<[u8]>`, and script writes to it while Rust reads it as a `&str`.
//! Its documentation says that this is unsound; the function is safe.
//! Seen: a read past the end of the memory (valgrind), because the text is no longer UTF-8.

use std::sync::Arc;

use rquickjs::ArrayBuffer;

pub(super) fn main() {
    let bytes: Arc<[u8]> = Arc::from("plain".repeat(8).as_bytes());
    let text = std::str::from_utf8(&bytes).unwrap();
    super::context().with(|ctx| {
        let buffer = ArrayBuffer::from_source(ctx.clone(), bytes.clone()).unwrap();
        ctx.globals().set("buffer", buffer).unwrap();
        ctx.eval::<(), _>("new Uint8Array(buffer)[39] = 0xf0").unwrap();
    });
    println!("the last character is {:x}", text.chars().last().unwrap() as u32);
    println!("there are {:x}", text.chars().fold(0, |sum, character| sum + character as u32));
}
