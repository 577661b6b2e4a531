//! Script keeps what it is given for as long as it likes: memory is not borrowed to it.
use offheap_quickjs::FrozenStoreExt;
use offheap_quickjs::offheap::FrozenStore;
use offheap_quickjs::rquickjs::{Context, Runtime};

fn main() {
    let context = Context::full(&Runtime::new().unwrap()).unwrap();
    let local = vec![1_u64, 2];
    let store = FrozenStore::from_owner(&local[..]).unwrap();
    context.with(|ctx| drop(store.expose(&ctx).unwrap()));
}
