use std::sync::Arc;

use offheap::FrozenStore;

fn main() {
    let _ = FrozenStore::from_owner(Arc::<[u8]>::from(vec![1]));
}
