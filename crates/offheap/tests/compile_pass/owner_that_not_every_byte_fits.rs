use std::sync::Arc;

use offheap::{FrozenStore, UniqueStore};

fn main() {
    let _ = UniqueStore::from_owner(vec![u8::from(true)]);
    // Nobody writes this one.
    let _ = FrozenStore::from_owner(Arc::<[bool]>::from(vec![true]));
}
