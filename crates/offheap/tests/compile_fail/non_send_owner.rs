//! The last reference may be dropped on any thread, and the owner with it.

use std::rc::Rc;

use offheap::UniqueStore;

fn main() {
    let here = Rc::new(());
    let _ = UniqueStore::from_owner_with_deleter(vec![0u8], move |_, _| drop(here));
}
