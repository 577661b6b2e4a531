use std::sync::Arc;

use offheap::UniqueStore;

fn main() {
    let anywhere = Arc::new(());
    let _ = UniqueStore::from_owner_with_deleter(vec![0u8], move |_, _| drop(anywhere));
}
