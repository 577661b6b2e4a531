//! The ledger of a process. There is one test, because a process has one observer and one heap of manual memory.

use offheap::adapter;
use offheap::observe::Observer;
use offheap::{BackingStore, Error, ManualMemory, SharedStore, UniqueStore};
use offheap_ledger::{Builder, Error as LedgerError, KEPT_REFUSALS, Ledger, Level, install};

#[test]
fn a_process_keeps_one_ledger_of_all_its_stores() {
    let before = UniqueStore::zeroed(8).unwrap();
    let ledger = install(Level::Sites).unwrap();
    assert!(matches!(install(Level::Sites), Err(LedgerError::ObserverSet)));
    drop(before);
    assert_eq!(ledger.balance().to_string(), "offheap: 0 stores, 0 B external, 0 leaked, 0 refused");

    counts_stores_and_forgets_freed_ones(ledger);
    reports_a_leak_with_the_line_that_allocated(ledger);
    reports_refused_frees_with_both_lines(ledger);
    reports_references_that_are_not_given_back(ledger);
    counts_resizable_and_shared_stores(ledger);
    keeps_a_bounded_number_of_refusals(ledger);
}

fn counts_stores_and_forgets_freed_ones(ledger: &Ledger) {
    let store = BackingStore::from(UniqueStore::from_owner(vec![0_u8; 1000]).unwrap());
    let other = store.clone();
    assert_eq!(ledger.live().len(), 1);
    assert_eq!(ledger.live()[0].created, store.site());
    drop(store);
    drop(other);
    assert_eq!(ledger.live().len(), 0);
    assert_eq!(ledger.balance().to_string(), "offheap: 1 store, 1000 B external, 0 leaked, 0 refused");
}

fn reports_a_leak_with_the_line_that_allocated(ledger: &Ledger) {
    let line = line!() + 1;
    let memory = ManualMemory::allocate(24).unwrap();
    let text = ledger.report().to_string();
    let address = memory.as_ptr().addr();
    assert!(text.starts_with(&format!("offheap: leak: 24 bytes at {address:#x}, allocated at ")), "{text}");
    assert!(text.contains(&format!("tests/ledger.rs:{line}:")), "{text}");
    assert!(text.ends_with("offheap: 2 stores, 1.0 KiB external, 1 leaked, 0 refused"), "{text}");
    assert!(!ledger.balance().is_clean());
    memory.free().unwrap();
    assert_eq!(ledger.live().len(), 0);
    assert!(ledger.balance().is_clean());
}

fn reports_refused_frees_with_both_lines(ledger: &Ledger) {
    let memory = ManualMemory::allocate(1).unwrap();
    let first = line!() + 1;
    memory.free().unwrap();
    let second = line!() + 1;
    let error = memory.free().unwrap_err();
    assert!(matches!(error, Error::DoubleFree { .. }));
    let report = ledger.report();
    let [refusal] = &report.refusals[..] else { panic!("{report}") };
    assert_eq!(refusal.code, "DOUBLE_FREE");
    let text = refusal.to_string();
    assert!(text.contains(&format!("ledger.rs:{first}:")), "{text}");
    assert!(text.contains(&format!("ledger.rs:{second}:")), "{text}");
    assert!(report.to_string().contains("offheap: refused: double free of 1 byte at"), "{report}");
    // This is not a refused free, so the ledger does not record it.
    UniqueStore::zeroed(usize::MAX).unwrap_err();
    assert_eq!(ledger.balance().refused, 1);
}

fn reports_references_that_are_not_given_back(ledger: &Ledger) {
    let store = BackingStore::from(UniqueStore::zeroed(16).unwrap());
    let hold = ledger.hold(&store, adapter::script_site("a.js", 3, 7));
    let other = ledger.hold(&store, adapter::script_site("a.js", 4, 7));
    assert_ne!(hold, other);
    ledger.release(other);
    let leaks = ledger.leaks();
    let [leak] = &leaks[..] else { panic!("{leaks:?}") };
    assert_eq!(leak.byte_length, 16);
    assert_eq!(leak.to_string(), "16 bytes, held by a reference taken at a.js:3:7: never released");
    ledger.release(hold);
    let leaks = ledger.leaks();
    let line = store.site().to_string();
    let holder = match offheap::observe::TRACKS_HANDLES {
        true => format!("a reference taken at {line}"),
        false => "1 reference of native code".to_owned(),
    };
    assert_eq!(leaks[0].to_string(), format!("16 bytes, allocated at {line}: held by {holder}"));
    ledger.expect_static(&store);
    assert!(ledger.leaks().is_empty());
}

fn counts_resizable_and_shared_stores(ledger: &Ledger) {
    let before = ledger.balance();
    let mut store = BackingStore::from(UniqueStore::resizable(10, 100).unwrap());
    store.resize(100).unwrap();
    store.resize(20).unwrap();
    assert_eq!((ledger.live()[0].byte_length, ledger.live()[0].greatest_byte_length), (20, 100));
    drop(store);
    let shared = SharedStore::growable(1, 100).unwrap();
    shared.grow(50).unwrap();
    drop((shared, SharedStore::zeroed(5).unwrap()));
    let balance = ledger.balance();
    assert_eq!((balance.resizable, balance.shared), (1, 2));
    assert_eq!(balance.external_bytes - before.external_bytes, 155);
}

fn keeps_a_bounded_number_of_refusals(ledger: &Ledger) {
    let memory = ManualMemory::allocate(1).unwrap();
    memory.free().unwrap();
    for _ in 0..KEPT_REFUSALS + 5 {
        memory.free().unwrap_err();
    }
    let report = ledger.report();
    assert_eq!(report.refusals.len(), KEPT_REFUSALS);
    assert!(report.to_string().contains("\noffheap: refused: 6 more\n"));
}

#[test]
fn a_ledger_that_is_forwarded_to_needs_no_installing() {
    fn is_observer(_: &impl Observer) {}
    let ledger = Builder::new(Level::Sites).make().unwrap();
    is_observer(ledger);
    assert_eq!(ledger.live().len(), 0);
    assert_eq!(format!("{ledger:?}"), "Ledger { level: Sites, .. }");
}
