//! A guard that waits would keep everybody else away, and is bound to its thread.

use offheap::{BackingStore, UniqueStore};

async fn read(store: BackingStore) -> u8 {
    let bytes = store.bytes().unwrap();
    std::future::ready(()).await;
    bytes[0]
}

fn spawn(_: impl Future + Send) {}

fn main() {
    spawn(read(UniqueStore::zeroed(1).unwrap().into()));
}
