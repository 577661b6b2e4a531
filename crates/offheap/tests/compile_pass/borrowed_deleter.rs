use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap::UniqueStore;

fn main() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let deleter = move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    let store = UniqueStore::from_owner_with_deleter(vec![0u8], deleter).unwrap();
    drop(store);
    println!("{}", calls.load(Ordering::Relaxed));
}
