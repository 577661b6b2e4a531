//! Cells stay on the thread of their runtime.
use offheap_quickjs::BackingStoreExt;
use offheap_quickjs::offheap::{BackingStore, UniqueStore};
use offheap_quickjs::rquickjs::{Context, Runtime};

fn main() {
    let context = Context::full(&Runtime::new().unwrap()).unwrap();
    let store = BackingStore::from(UniqueStore::zeroed(4).unwrap());
    context.with(|ctx| {
        let cells = store.cells(&ctx).unwrap();
        cells[0].set(1);
        drop(cells);
        std::thread::scope(|threads| {
            threads.spawn(|| assert_eq!(store.to_vec().unwrap()[0], 1));
        });
    });
}
