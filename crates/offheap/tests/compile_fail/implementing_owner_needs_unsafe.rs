//! What memory an owner gives is its author's promise.

use std::ptr::NonNull;

use offheap::Owner;

struct Mine(Vec<u8>);

impl Owner for Mine {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::from(self.0.as_mut_slice())
    }
}

fn main() {}
