//! Two threads write the bytes of a store at once. Counterpart of `v8/src/race.rs`.
use adapter::offheap::UniqueStore;

fn main() {
    let mut store = UniqueStore::zeroed(64).unwrap();
    std::thread::scope(|threads| {
        #[cfg(feature = "refused")] // E0499
        threads.spawn(|| store[0] += 1);
        threads.spawn(|| store[0] += 1);
    });
    assert_eq!(store[0], 1);
}
