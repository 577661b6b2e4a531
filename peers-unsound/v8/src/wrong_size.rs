//! The deleter of a `Vec<u32>` treats the store's length in bytes as a number of elements.
//! Seen: 12 bytes allocated, freed as 48.

use v8::ArrayBuffer;

pub(super) fn main() {
    drop(ArrayBuffer::new_backing_store_from_bytes(vec![1_u32, 2, 3]));
    if let Some((allocated, freed_as)) = sizes::wrong_size() {
        println!("allocated {allocated} bytes, freed as {freed_as}");
    }
}
