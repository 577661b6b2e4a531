//! The deleter runs whenever the last reference goes, so it cannot borrow.

use offheap::UniqueStore;

fn main() {
    let mut calls = 0;
    let store = UniqueStore::from_owner_with_deleter(vec![0u8], |_, _| calls += 1).unwrap();
    drop(store);
    println!("{calls}");
}
