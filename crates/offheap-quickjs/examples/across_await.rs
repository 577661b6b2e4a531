//! A store across an `await`, on tokio's current thread: script fills it, a task reads it while it waits, and
//! script continues.

use std::time::Duration;

use offheap_quickjs::offheap::{BackingStore, UniqueStore};
use offheap_quickjs::{BackingStoreExt, Isolate, ScopeExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut isolate = Isolate::new()?;
    let store: BackingStore = UniqueStore::zeroed(16)?.into();

    isolate.enter(|scope| -> Result<(), Box<dyn std::error::Error>> {
        let buffer = scope.expose(&store)?;
        scope.set_global("buffer", &buffer)?;
        scope.eval::<()>("new Uint8Array(buffer).set([1, 2, 3])")?;
        Ok(())
    })?;

    // The store moves into a task, which could run on any thread. The task copies the bytes, because script still
    // has the store.
    let in_the_task = store.clone();
    let sum = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        in_the_task.to_vec().map(|bytes| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>())
    })
    .await??;

    // No guard lives across the `await`. One begins here, where the scope proves that no script runs.
    let third = isolate.enter(|scope| scope.store_bytes(&store).map(|bytes| bytes[2]))?;
    isolate.enter(|scope| scope.with_ctx(|ctx| store.copy_in(&ctx, 0, &[9_u8])))?;
    println!("sum {sum}, third byte {third}, first byte now {}", store.to_vec()?[0]);
    Ok(())
}
