//! An observer that calls the model at every event. In a file of its own, since a process has one observer.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};

use offheap_engine::offheap::adapter::InFinalizer;
use offheap_engine::offheap::observe::{Event, EventKind, Observer, Refusal, set_observer};
use offheap_engine::offheap::{BackingStore, UniqueStore};
use offheap_engine::{Engine, Handle, JsArrayBuffer, ManuallyExternalizedBuffer, in_finalizer};
use offheap_model::model;

thread_local! {
    static HANDLE: RefCell<Option<Handle<JsArrayBuffer>>> = const { RefCell::new(None) };
    static MESSAGES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static PANICS: Cell<bool> = const { Cell::new(false) };
    static STORE: Cell<Option<BackingStore>> = const { Cell::new(None) };
}

thread_local! {
    /// The code of each refusal, the place of the use, and that of the detach.
    static REFUSALS: RefCell<Vec<(&'static str, String, Option<String>)>> = const { RefCell::new(Vec::new()) };
}

struct Reenters;

impl Observer for Reenters {
    fn refused(&self, refusal: &Refusal<'_>) {
        let earlier = refusal.earlier.map(|at| at.to_string());
        REFUSALS.with_borrow_mut(|told| told.push((refusal.code, refusal.at.to_string(), earlier)));
    }

    fn event(&self, event: &Event) {
        assert!(in_finalizer());
        // A store that the observer drops tells the observer.
        drop(STORE.take());
        assert!(in_finalizer());
        // A copy of the handle comes and goes while the engine is in the middle of a step.
        if let Some(handle) = HANDLE.with_borrow(Clone::clone) {
            let message = match ManuallyExternalizedBuffer::new(handle) {
                Ok(externalized) => panic!("at {:?} the observer got {:?}", event.kind, externalized.store()),
                Err(rejected) => rejected.to_string(),
            };
            MESSAGES.with_borrow_mut(|messages| messages.push(message));
        }
        assert!(!(PANICS.get() && event.kind == EventKind::Created), "the observer's own words");
    }
}

#[test]
fn a2_an_observer_cannot_externalize_by_a_handle_and_may_drop_one() {
    let _ = set_observer(&Reenters);
    for seed in 0..16 {
        let mut engine = model(seed).unwrap();
        let buffer = engine.allocate(16, None).unwrap();
        HANDLE.set(Some(buffer.clone()));
        STORE.set(Some(UniqueStore::zeroed(8).unwrap().into()));
        let store = engine.externalize(&buffer).unwrap();
        assert_eq!(engine.externalize(&buffer).unwrap(), store, "one buffer has one store");
        engine.detach(&buffer, None).unwrap();
        HANDLE.set(None);
        let messages = MESSAGES.take();
        assert!(messages.len() > 4, "{messages:?}");
        assert!(messages.iter().all(|message| message.contains("owner's drop or an observer")), "{messages:?}");
        assert!(!in_finalizer());
    }
}

#[test]
fn a2_a_panic_of_an_observer_leaves_engines_to_be_called() {
    let _ = set_observer(&Reenters);
    PANICS.set(true);
    assert!(std::panic::catch_unwind(|| drop(UniqueStore::zeroed(8))).is_err());
    PANICS.set(false);
    assert!(!in_finalizer());
    let nested = (InFinalizer::enter(), InFinalizer::enter());
    drop(nested.0);
    assert!(in_finalizer());
    drop(nested.1);
    assert!(!in_finalizer());
}

#[test]
fn a2_an_owners_drop_that_the_model_waits_for_is_refused_too() {
    for seed in 0..16 {
        let mut engine = model(seed).unwrap();
        let (sender, answers) = std::sync::mpsc::channel();
        let deleter = move |_: *mut u8, _: usize| sender.send(in_finalizer()).unwrap();
        let store = BackingStore::from(UniqueStore::from_owner_with_deleter(vec![1_u8; 8], deleter).unwrap());
        let buffer = engine.expose(&store).unwrap().0;
        drop((store, buffer));
        engine.collect();
        engine.drain_finalizers();
        // On this thread or another, as the seed has it.
        assert_eq!(answers.recv(), Ok(true));
    }
}

#[test]
fn the_use_of_a_detached_buffer_is_told_with_both_places() {
    let _ = set_observer(&Reenters);
    let mut isolate = model(1).unwrap();
    isolate.enter(|scope| {
        let buffer = scope.allocate(16, None).unwrap();
        let detached = line!() + 1;
        scope.detach(&buffer, None).unwrap();
        let uses = [
            (line!(), scope.externalize(&buffer).map(drop).unwrap_err()),
            (line!(), scope.externalize_buffer(&buffer).map(drop).unwrap_err()),
            (line!(), scope.bytes(&buffer).map(drop).unwrap_err()),
            (line!(), scope.bytes_mut(&buffer).map(drop).unwrap_err()),
            (line!(), scope.transfer(&buffer, None).map(drop).unwrap_err()),
            (line!(), scope.take(&buffer, None).map(drop).unwrap_err()),
        ];
        let told = REFUSALS.take();
        assert_eq!(told.len(), uses.len(), "{told:?}");
        for ((code, at, earlier), (line, error)) in told.into_iter().zip(uses) {
            assert_eq!((code, error.code()), ("DETACHED", "DETACHED"));
            assert!(at.contains(&format!("observer.rs:{line}:")), "{at}, not {line}");
            assert!(earlier.unwrap().contains(&format!("observer.rs:{detached}:")), "not {detached}");
        }
    });
}
