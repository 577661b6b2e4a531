use offheap::{BackingStore, UniqueStore};

fn main() {
    let mut store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let reader = store.bytes().unwrap();
    println!("{}", reader[0]);
    drop(reader);
    store.bytes_mut().unwrap()[0] = 1;
}
