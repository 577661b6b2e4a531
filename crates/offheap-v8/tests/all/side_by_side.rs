//! Random sequences on V8, QuickJS and the model, and a soak, each in its own process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use offheap_conformance::random::{Reentrant, SeededFactory, calls_of_engines, side_by_side};
use offheap_conformance::{Soak, soak};
use offheap_model::model;
use offheap_quickjs::Isolate as QuickJs;
use offheap_v8::offheap::observe::set_observer;
use offheap_v8::offheap::{BackingStore, StoreKind};
use offheap_v8::{Engine, Error, Isolate};

use crate::common::{in_child, start};

/// Runs the test of this name in a new process.
fn apart(test: &str, work: impl FnOnce()) {
    let Some(output) = in_child(&format!("side_by_side::{test}")) else {
        start();
        return work();
    };
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn v8_quickjs_and_the_model_do_the_same() {
    apart("v8_quickjs_and_the_model_do_the_same", || {
        let model: &SeededFactory<'_> = &|seed| Ok(Box::new(model(seed)?));
        let quickjs: &SeededFactory<'_> = &|_| Ok(Box::new(QuickJs::new()?));
        let v8: &SeededFactory<'_> = &|_| Ok(Box::new(Isolate::new()?));
        match side_by_side(&[model, quickjs, v8], Duration::from_secs(5)) {
            Ok(compared) => println!("{compared:?}"),
            Err(difference) => panic!("{difference}"),
        }
    });
}

#[test]
fn no_engine_answers_an_observer() {
    apart("no_engine_answers_an_observer", || {
        set_observer(&Reentrant).expect("the only observer");
        let model: &SeededFactory<'_> = &|seed| Ok(Box::new(model(seed)?));
        let quickjs: &SeededFactory<'_> = &|_| Ok(Box::new(QuickJs::new()?));
        let v8: &SeededFactory<'_> = &|_| Ok(Box::new(Isolate::new()?));
        match side_by_side(&[model, quickjs, v8], Duration::from_secs(3)) {
            Ok(compared) => println!("{compared:?}"),
            Err(difference) => panic!("{difference}"),
        }
        assert!(calls_of_engines().0 > 0, "the observer called engines");
    });
}

/// The model has no script, so it does not take part.
#[test]
fn v8_and_quickjs_do_the_same_when_script_is_called_back() {
    apart("v8_and_quickjs_do_the_same_when_script_is_called_back", || {
        let quickjs: &SeededFactory<'_> = &|_| Ok(Box::new(QuickJs::new()?));
        let v8: &SeededFactory<'_> = &|_| Ok(Box::new(Isolate::new()?));
        match side_by_side(&[quickjs, v8], Duration::from_secs(5)) {
            Ok(compared) => println!("{compared:?}"),
            Err(difference) => panic!("{difference}"),
        }
    });
}

/// No second engine runs here, so no step is left out. This only detects crashes, and errors that a memory checker sees.
#[test]
fn v8_stands_script_that_is_called_back_and_takes_memory_away() {
    apart("v8_stands_script_that_is_called_back_and_takes_memory_away", || {
        let v8: &SeededFactory<'_> = &|_| Ok(Box::new(Isolate::new()?));
        match side_by_side(&[v8], Duration::from_secs(3)) {
            Ok(compared) => println!("{compared:?}"),
            Err(difference) => panic!("{difference}"),
        }
    });
}

fn v8() -> Result<Box<dyn Engine>, Error> {
    Ok(Box::new(Isolate::new()?))
}

#[test]
fn isolates_on_eight_threads_drop_every_owner_once() {
    apart("isolates_on_eight_threads_drop_every_owner_once", || {
        // Each thread begins with one isolate. V8 also keeps some memory of heaps that ended.
        let plan = Soak { isolates_per_thread: 1, memory_allowance: 256 << 20, ..Soak::default() };
        let soaked = soak(&v8, plan, &|_| ()).unwrap_or_else(|failure| panic!("{failure}"));
        println!("{soaked:?}");
        // The rarest step occurs once in about 2,000 steps, which takes long under valgrind.
        let is_short = soaked.steps < 20_000;
        assert!(is_short || soaked.refused > 0 && soaked.isolates_ended > 0, "{soaked:?}");
    });
}

#[test]
fn leaks_one_reference_and_is_found() {
    apart("leaks_one_reference_and_is_found", || {
        for kind in [StoreKind::FIXED, StoreKind::RESIZABLE, StoreKind::SHARED, StoreKind::FROZEN] {
            let is_done = AtomicBool::new(false);
            let leak = |store: &BackingStore| {
                let is_meant = store.kind() == kind || kind.is_shared() && store.kind().is_shared();
                if is_meant && !is_done.swap(true, Ordering::SeqCst) {
                    std::mem::forget(store.clone());
                }
            };
            let duration = Duration::from_millis(500);
            let plan = Soak { threads: 2, isolates_per_thread: 2, duration, ..Soak::default() };
            // A busy machine may come to no such store in this time.
            let failure =
                (0..100).find_map(|_| soak(&v8, plan, &leak).err()).expect("one reference is leaked").to_string();
            let said = ["owners that were dropped", "no store is alive at the end"];
            assert!(said.iter().any(|text| failure.contains(text)), "{kind:?}: {failure}");
        }
    });
}
