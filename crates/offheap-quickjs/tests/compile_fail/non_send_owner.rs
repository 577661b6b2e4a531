//! What script frees may be freed on any thread: its owner is `Send`.
use std::rc::Rc;

use offheap_quickjs::BackingStoreExt;
use offheap_quickjs::offheap::{BackingStore, UniqueStore};
use offheap_quickjs::rquickjs::{Context, Runtime};

fn main() {
    let context = Context::full(&Runtime::new().unwrap()).unwrap();
    let told = Rc::new(());
    let store = UniqueStore::from_owner_with_deleter(vec![0_u8; 8], move |_, _| drop(told)).unwrap();
    context.with(|ctx| drop(BackingStore::from(store).expose(&ctx).unwrap()));
}
