use offheap::{BackingStore, UniqueStore};

fn main() {
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let bytes = store.bytes().unwrap();
    let slice = &bytes[..];
    std::thread::scope(|scope| {
        scope.spawn(|| println!("{}", slice[0]));
    });
}
