use std::ptr::NonNull;

use offheap::Owner;

struct Mine(Vec<u8>);

// SAFETY: the elements of a `Vec` that nobody else reaches.
unsafe impl Owner for Mine {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::from(self.0.as_mut_slice())
    }
}

fn main() {}
