//! A guard is not shared between threads either; a plain slice of it is, for as long as the guard lives.

use offheap::{BackingStore, UniqueStore};

fn main() {
    let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let bytes = store.bytes().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| println!("{}", bytes[0]));
    });
}
