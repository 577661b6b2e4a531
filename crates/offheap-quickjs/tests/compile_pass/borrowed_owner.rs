//! Script keeps what it is given for as long as it likes: memory is not borrowed to it.
use std::sync::Arc;

use offheap_quickjs::FrozenStoreExt;
use offheap_quickjs::offheap::FrozenStore;
use offheap_quickjs::rquickjs::{Context, Runtime};

fn main() {
    let context = Context::full(&Runtime::new().unwrap()).unwrap();
    let shared: Arc<[u64]> = vec![1, 2].into();
    let store = FrozenStore::from_owner(shared).unwrap();
    context.with(|ctx| drop(store.expose(&ctx).unwrap()));
}
