//! A guard stays on its thread; the store moves, and is asked again there.

use offheap::{BackingStore, UniqueStore};

fn main() {
    let mut store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
    let mut bytes = store.bytes_mut().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || bytes[0] = 1);
    });
}
