use offheap::{BackingStore, UniqueStore};

fn main() {
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let bytes = store.bytes().unwrap();
    println!("{}", bytes[0]);
    drop(bytes);
    drop(store);
}
