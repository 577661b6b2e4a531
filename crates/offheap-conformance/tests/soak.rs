//! Eight threads of QuickJS isolates that pass stores to each other. A leaked reference must be found.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use offheap_conformance::{Soak, soak};
use offheap_engine::offheap::{BackingStore, StoreKind};
use offheap_engine::{Engine, Error};
use offheap_quickjs::Isolate as QuickJs;

// Memory is measured for the whole process.
static TURN: Mutex<()> = Mutex::new(());

fn quickjs() -> Result<Box<dyn Engine>, Error> {
    Ok(Box::new(QuickJs::new()?))
}

#[test]
fn quickjs_isolates_on_eight_threads_drop_every_owner_once() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let soaked = soak(&quickjs, Soak::default(), &|_| ()).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{soaked:?}");
    // The rarest step occurs once in about 2,000 steps, which takes long under valgrind.
    let is_short = soaked.steps < 20_000;
    assert!(is_short || soaked.refused > 0 && soaked.isolates_ended > 0, "{soaked:?}");
}

/// Runs the soak with one leaked clone of a store of this kind, and returns the failure.
fn leaked(kind: StoreKind) -> String {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_done = AtomicBool::new(false);
    let leak = |store: &BackingStore| {
        if store.kind() == kind && !is_done.swap(true, Ordering::SeqCst) {
            std::mem::forget(store.clone());
        }
    };
    let plan = Soak { threads: 2, isolates_per_thread: 2, duration: Duration::from_millis(300), ..Soak::default() };
    // A busy machine may come to no such store in this time.
    (0..100).find_map(|_| soak(&quickjs, plan, &leak).err()).expect("one reference is leaked").to_string()
}

#[test]
fn leaks_one_reference_and_is_found() {
    for kind in [StoreKind::FIXED, StoreKind::RESIZABLE, StoreKind::FROZEN] {
        let failure = leaked(kind);
        let said =
            ["owners that were dropped", "no store is alive at the end"].iter().any(|text| failure.contains(text));
        assert!(said, "{kind:?}: {failure}");
    }
}
