//! A slice instead of an owner, which would require a copy. Counterpart of `rquickjs/src/copy.rs`.
use adapter::offheap::UniqueStore;

fn main() {
    let bytes = vec![2_u8; 4096];
    #[cfg(feature = "refused")] // E0277
    UniqueStore::from_owner(&bytes[..]).unwrap();
    UniqueStore::from_owner(bytes.to_vec()).unwrap();
}
