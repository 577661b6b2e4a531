//! A program that forgets five stores: the ledger names each of them. It has a separate file, because a process has one observer.

use offheap_conformance::ledger::check_forgotten_stores;
use offheap_ledger::Level;
use offheap_v8::Isolate;

#[test]
fn five_forgotten_stores_are_named_with_places_and_holders() {
    offheap_v8::start("").unwrap();
    let ledger = offheap_ledger::install(Level::Sites).unwrap();
    let isolate = Isolate::builder().name("page").build().unwrap();
    check_forgotten_stores(isolate, ledger, Some("page.js:1:"));
}
