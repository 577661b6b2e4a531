use offheap::{BackingStore, UniqueStore};

async fn read(store: BackingStore) -> u8 {
    let byte = {
        let bytes = store.bytes().unwrap();
        bytes[0]
    };
    std::future::ready(()).await;
    byte + store.bytes().unwrap()[0]
}

fn spawn(_: impl Future + Send) {}

fn main() {
    spawn(read(UniqueStore::zeroed(1).unwrap().into()));
}
