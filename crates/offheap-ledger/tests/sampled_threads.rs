//! Rare samples of several threads. There is one test, because a process has one observer.

use std::thread;

use offheap::{BackingStore, UniqueStore};
use offheap_ledger::{Builder, Level};

#[test]
fn samples_of_several_threads_estimate_what_lives_and_are_gone_with_it() {
    const THREADS: usize = 8;
    const STORES: usize = 5000;
    let ledger = Builder::new(Level::Sites).sample_bytes(64 << 10).install().unwrap();
    let make = || (0..STORES).map(|_| BackingStore::from(UniqueStore::zeroed(4096).unwrap())).collect::<Vec<_>>();
    let made: Vec<_> = (0..THREADS).map(|_| thread::spawn(make)).collect();
    let kept: Vec<Vec<BackingStore>> = made.into_iter().map(|thread| thread.join().unwrap()).collect();
    let estimate: f64 = ledger.live().iter().map(|store| store.weight).sum();
    let ratio = estimate / (THREADS * STORES) as f64;
    // About 2,400 samples, so that a tenth is more than four times the deviation.
    assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
    let balance = ledger.balance();
    assert_eq!((balance.stores, balance.leaked), ((THREADS * STORES) as u64, (THREADS * STORES) as u64));

    // Each thread drops what another one has made.
    let drops: Vec<_> = kept.into_iter().map(|stores| thread::spawn(|| drop(stores))).collect();
    drops.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(ledger.live().len(), 0);
    let totals = ledger.totals();
    assert!(totals.iter().all(|place| (place.live_bytes, place.live_stores) == (0, 0)), "{totals:?}");
    assert_eq!(ledger.balance().leaked, 0);
}
