use offheap::{BackingStore, UniqueStore};

fn main() {
    let mut store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || store.bytes_mut().unwrap()[0] = 1);
    });
}
