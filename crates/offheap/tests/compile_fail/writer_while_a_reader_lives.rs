//! One handle does not read and write at a time; another handle's write is refused when it is tried.

use offheap::{BackingStore, UniqueStore};

fn main() {
    let mut store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let reader = store.bytes().unwrap();
    store.bytes_mut().unwrap()[0] = 1;
    println!("{}", reader[0]);
}
