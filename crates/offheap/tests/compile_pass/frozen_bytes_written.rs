use offheap::{FrozenStore, UniqueStore};

fn main() {
    let frozen = FrozenStore::from_owner(&[1u8, 2][..]).unwrap();
    let mut store = UniqueStore::from_owner(frozen.to_vec()).unwrap();
    store[0] = 3;
}
