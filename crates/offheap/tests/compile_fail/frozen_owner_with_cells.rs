//! Frozen memory is written by nobody, also not through a shared reference.

use std::cell::Cell;
use std::sync::Arc;

use offheap::FrozenStore;

fn main() {
    let _ = FrozenStore::from_owner(Arc::<[Cell<u8>]>::from(vec![Cell::new(1)]));
}
