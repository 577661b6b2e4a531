//! Level `Counts`. There is one test, because a process has one observer.

use offheap::{BackingStore, ManualMemory, SharedStore, UniqueStore};
use offheap_ledger::{Level, install};

#[test]
fn stores_are_counted_and_not_named() {
    let before = BackingStore::from(UniqueStore::zeroed(7).unwrap());
    let ledger = install(Level::Counts).unwrap();
    let kept = BackingStore::from(UniqueStore::zeroed(100).unwrap());
    drop(SharedStore::zeroed(50).unwrap());
    drop(UniqueStore::resizable(10, 100).unwrap());
    let memory = ManualMemory::allocate(5).unwrap();
    let said = "offheap: 4 stores (1 resizable, 1 shared), 165 B external, 2 leaked, 0 refused";
    assert_eq!(ledger.balance().to_string(), said);
    assert_eq!((ledger.live().len(), ledger.leaks().len()), (0, 1));
    // It is not counted, so it takes none from those that are.
    ledger.expect_static(&before);
    assert_eq!(ledger.balance().to_string(), said);
    memory.free().unwrap();
    memory.free().unwrap_err();
    ledger.expect_static(&kept);
    let said = "offheap: 4 stores (1 resizable, 1 shared), 165 B external, 0 leaked, 1 refused";
    assert_eq!(ledger.balance().to_string(), said);
    assert!(ledger.totals().is_empty());
}
