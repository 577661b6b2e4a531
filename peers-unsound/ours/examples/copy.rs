//! A slice where an owner is wanted, which would have to be copied. Beside `rquickjs/src/copy.rs`.
use adapter::offheap::UniqueStore;

fn main() {
    let bytes = vec![2_u8; 4096];
    #[cfg(feature = "refused")] // E0277
    UniqueStore::from_owner(&bytes[..]).unwrap();
    UniqueStore::from_owner(bytes.to_vec()).unwrap();
}
