//! Script may write any byte, and a `bool` may not have any.

use offheap::UniqueStore;

fn main() {
    let _ = UniqueStore::from_owner(vec![true]);
}
