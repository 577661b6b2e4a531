//! Giving script write access to memory that is read through a `&[u8]`. Counterpart of `rquickjs/src/text.rs`.
use std::sync::Arc;

use adapter::offheap::{FrozenStore, UniqueStore};

fn main() {
    let bytes: Arc<[u8]> = Arc::from("plain".as_bytes());
    #[cfg(feature = "refused")] // E0277
    UniqueStore::from_owner(bytes.clone()).unwrap();
    FrozenStore::from_owner(bytes.clone()).unwrap();
    UniqueStore::from_owner(bytes.to_vec()).unwrap();
}
