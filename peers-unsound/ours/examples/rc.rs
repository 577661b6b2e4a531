//! An owner that is not `Send`, in a store that is. Counterpart of `v8/src/rc.rs`.
use std::rc::Rc;

use adapter::offheap::UniqueStore;

fn main() {
    let counted = Rc::new(());
    let told = counted.clone();
    UniqueStore::from_owner_with_deleter(vec![0_u8; 8], |_, _| ()).unwrap();
    #[cfg(feature = "refused")] // E0277
    UniqueStore::from_owner_with_deleter(vec![0_u8; 8], move |_, _| drop(told)).unwrap();
    assert!(Rc::strong_count(&counted) > 0);
}
