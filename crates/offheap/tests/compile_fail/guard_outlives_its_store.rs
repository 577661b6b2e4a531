//! A guard borrows the handle it was asked from.

use offheap::{BackingStore, UniqueStore};

fn main() {
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let bytes = store.bytes().unwrap();
    drop(store);
    println!("{}", bytes[0]);
}
