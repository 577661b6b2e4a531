//! `assert_balanced` in tests that run in parallel.

use std::panic::catch_unwind;
use std::thread;

use offheap::{BackingStore, UniqueStore};
use offheap_ledger::{assert_balanced, installed};

fn store() -> BackingStore {
    BackingStore::from(UniqueStore::zeroed(8).unwrap())
}

fn message(run: impl FnOnce() + std::panic::UnwindSafe) -> Option<String> {
    catch_unwind(run).err().map(|panic| *panic.downcast::<String>().unwrap())
}

#[test]
fn what_is_freed_passes() {
    let _balanced = assert_balanced();
    let kept = store();
    drop(store());
    let other = kept.clone();
    thread::spawn(move || drop(other)).join().unwrap();
}

#[test]
fn what_is_forgotten_fails_with_its_line() {
    let line = line!() + 3;
    let said = message(|| {
        let _balanced = assert_balanced();
        std::mem::forget(BackingStore::from(UniqueStore::zeroed(8).unwrap()));
    });
    let said = said.unwrap();
    assert!(said.starts_with("1 store was made here and not freed:\noffheap: leak: 8 bytes, allocated at "), "{said}");
    assert!(said.contains(&format!("tests/balanced.rs:{line}:")), "{said}");
}

#[test]
fn other_threads_count_if_they_were_started_by_it() {
    let said = message(|| {
        let balanced = assert_balanced();
        balanced.spawn(|| std::mem::forget(store()));
    });
    assert!(said.unwrap().starts_with("1 store was made here"));
    let said = message(|| {
        let _balanced = assert_balanced();
        thread::spawn(|| std::mem::forget(store())).join().unwrap();
    });
    assert_eq!(said, None);
}

#[test]
fn what_is_meant_to_stay_passes() {
    let _balanced = assert_balanced();
    let kept = store();
    installed().unwrap().expect_static(&kept);
    std::mem::forget(kept);
}

#[test]
fn scopes_may_be_inside_of_each_other() {
    let outer = assert_balanced();
    let kept = store();
    assert_eq!(message(|| drop(assert_balanced())), None);
    drop(kept);
    let after = store();
    drop((after, outer));
}

#[test]
fn a_test_that_fails_keeps_its_own_message() {
    let said = catch_unwind(|| {
        let _balanced = assert_balanced();
        std::mem::forget(store());
        panic!("mine");
    });
    assert_eq!(said.unwrap_err().downcast_ref::<&str>(), Some(&"mine"));
}
