//! An engine may keep the store for as long as it likes, so its memory cannot be borrowed.

use offheap::FrozenStore;

fn main() {
    let bytes = vec![1u8, 2, 3];
    let store = FrozenStore::from_owner(&bytes[..]).unwrap();
    drop(bytes);
    println!("{}", store[0]);
}
