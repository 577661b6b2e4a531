//! A ledger that has only samples. There is one test, because a process has one observer.

use offheap::{BackingStore, UniqueStore};
use offheap_ledger::{Builder, Level};

#[test]
fn samples_estimate_what_lives_and_the_counts_are_exact() {
    let ledger = Builder::new(Level::Sites).sample_bytes(16 << 10).install().unwrap();
    assert_eq!(ledger.sample_bytes(), Some(16 << 10));
    let mut kept: Vec<BackingStore> =
        (0..20_000).map(|_| BackingStore::from(UniqueStore::zeroed(4096).unwrap())).collect();
    let bytes = 20_000.0 * 4096.0;
    let ratio = ledger.totals()[0].live_bytes as f64 / bytes;
    // About 4,400 samples, so that a twentieth is more than three times the deviation.
    assert!((ratio - 1.0).abs() < 0.06, "{ratio}");
    let live = ledger.live();
    assert!(live.len() < 6_000, "{}", live.len());
    let estimate: f64 = live.iter().map(|store| store.weight * store.byte_length as f64).sum();
    assert!((estimate / bytes - ratio).abs() < 0.001, "{estimate}");
    let balance = ledger.balance();
    assert_eq!((balance.stores, balance.external_bytes, balance.leaked), (20_000, 20_000 * 4096, 20_000));

    kept.clear();
    assert_eq!((ledger.live().len(), ledger.totals()[0].live_bytes, ledger.totals()[0].live_stores), (0, 0, 0));
    assert_eq!(ledger.balance().leaked, 0);
}
