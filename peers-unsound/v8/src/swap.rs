//! A `BackingStore` in Rust is smaller than V8's, and `UniqueRef` gives `&mut` to it: swapping two stores swaps a part
//! of each.
//! Seen: SIGSEGV in the `Drop` of an owner, because each deleter gets the owner of the other store.

use v8::ArrayBuffer;

struct Named {
    bytes: Vec<u8>,
    name: String,
}

impl AsMut<[u8]> for Named {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        println!("dropped the owner {:?} of {} bytes", self.name, self.bytes.len());
    }
}

pub(super) fn main() {
    let mut one = ArrayBuffer::new_backing_store_from_vec(vec![1; 64]);
    let mut two =
        ArrayBuffer::new_backing_store_from_bytes(Box::new(Named { bytes: vec![2; 32], name: "two".repeat(20) }));
    std::mem::swap(&mut *one, &mut *two);
    println!("{} and {} bytes", one.byte_length(), two.byte_length());
    drop(one);
    drop(two);
}
