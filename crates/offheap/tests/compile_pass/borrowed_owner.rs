use std::sync::Arc;

use offheap::FrozenStore;

fn main() {
    let bytes: Arc<[u8]> = vec![1u8, 2, 3].into();
    let store = FrozenStore::from_owner(bytes.clone()).unwrap();
    drop(bytes);
    println!("{}", store[0]);
}
