//! Frozen memory has no slice that may be written.

use offheap::FrozenStore;

fn main() {
    let store = FrozenStore::from_owner(&[1u8, 2][..]).unwrap();
    store[0] = 3;
}
