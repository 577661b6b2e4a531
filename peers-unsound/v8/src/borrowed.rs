//! The owner of a store need not be `'static`, so a store over a borrowed local can outlive the local.
//! Seen: an invalid read of freed memory (valgrind).

use v8::{ArrayBuffer, BackingStore, SharedRef};

pub(super) fn main() {
    let store = store_of_a_local();
    println!("read {}", store[0].get());
}

fn store_of_a_local() -> SharedRef<BackingStore> {
    let mut local = vec![7_u8; 4096];
    ArrayBuffer::new_backing_store_from_bytes(Box::new(&mut local[..])).make_shared()
}
