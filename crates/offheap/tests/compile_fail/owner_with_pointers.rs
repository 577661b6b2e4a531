//! Nor may a reference.

use offheap::UniqueStore;

fn main() {
    let _ = UniqueStore::from_owner(vec!["text"]);
}
